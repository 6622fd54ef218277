// What is taken from a request, each piece refused with a problem document: the caller's token, the key of a repeated request, the job.

import { malformed, Problem, unauthorized } from './problem.ts';

/** A body, at most: more than any job that the database takes. */
const MAX_BODY = 1 << 20;

const isText = (value: unknown) => typeof value === 'string';
const isTexts = (value: unknown) => Array.isArray(value) && value.every(isText);
const isNumbers = (value: unknown) =>
  Array.isArray(value) && value.every((list) => Array.isArray(list) && list.every(Number.isInteger));
const isObject = (value: unknown) => typeof value === 'object' && value !== null && !Array.isArray(value);
const isInteger = (value: unknown) => Number.isInteger(value) && Math.abs(value as number) < 2 ** 31;
/** With its zone: without one the database would take it for a time of its own. */
const isMoment = (value: unknown) =>
  isText(value) && /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/i.test(value as string);
const isId = (value: unknown) => isText(value) && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(value as string);

/** What a job may have, and what each must look like. Whether it can be made of that is the database's to say. */
const FIELDS: Record<string, [(value: unknown) => boolean, string]> = {
  template_id: [isId, 'a UUID'],
  batch_id: [isId, 'a UUID'],
  title: [isText, 'a text'],
  prompt: [isText, 'a text'],
  slide_prompts: [isTexts, 'a list of texts'],
  source_paths: [isTexts, 'a list of texts'],
  slides_from: [isText, 'a text'],
  slide_sources: [isNumbers, 'a list of lists of integers'],
  aspect_ratios: [isTexts, 'a list of texts'],
  variants: [isInteger, 'an integer'],
  style: [isObject, 'an object'],
  variables: [isObject, 'an object'],
  model: [isText, 'a text'],
  quality: [isText, 'a text'],
  output_format: [isText, 'a text'],
  background: [isText, 'a text'],
  partial_previews: [isInteger, 'an integer'],
  priority: [isInteger, 'an integer'],
  run_at: [isText, 'a time as RFC 3339 writes it'],
};

/** Columns of a new job. */
export type NewJob = Record<string, unknown>;

/** The token of `Authorization: Bearer`. A key stands there when nobody is signed in, and is none. */
export function token(headers: Headers): string {
  const [scheme, token, ...more] = (headers.get('authorization') ?? '').trim().split(/ +/);
  const plausible = scheme.toLowerCase() === 'bearer' && more.length === 0 && /^[!-~]{1,8192}$/.test(token ?? '');
  if (!plausible || token.split('.').length !== 3) throw unauthorized();
  return token;
}

/** The request's `Idempotency-Key`, if it has one. */
export function idempotencyKey(headers: Headers): string | undefined {
  const key = headers.get('idempotency-key');
  if (key === null) return undefined;
  if (!/^[!-~]{1,200}$/.test(key)) {
    throw malformed('`Idempotency-Key` is not 1 to 200 printable ASCII characters without spaces');
  }
  return key;
}

/** The job that is asked for; what is null in it is left out. */
export async function newJob(request: Request): Promise<NewJob> {
  const type = (request.headers.get('content-type') ?? '').split(';')[0].trim().toLowerCase();
  if (type !== 'application/json' && !type.endsWith('+json')) {
    throw new Problem(
      415,
      'body_type_not_supported',
      'the body is not application/json',
      'Send `Content-Type: application/json`. Photos are uploaded to the bucket first, and named in `source_paths`.',
    );
  }
  const job = parse(await body(request));
  if (!isObject(job)) throw malformed('the JSON is not an object');
  const given = Object.entries(job as NewJob).filter(([, value]) => value !== null);
  for (const [name, value] of given) {
    if (!Object.hasOwn(FIELDS, name)) {
      const known = Object.keys(FIELDS).join(', ');
      throw malformed(`a job has no field ${JSON.stringify(name.slice(0, 80))}; it has ${known}`);
    }
    const [fits, expected] = FIELDS[name];
    if (!fits(value)) throw malformed(`${name} is not ${expected}`);
    if (name === 'run_at' && !isMoment(value)) {
      throw new Problem(
        400,
        'value_invalid',
        'run_at is no date and time with a zone',
        'Write for example 2026-12-24T18:00:00Z.',
      );
    }
  }
  return Object.fromEntries(given);
}

async function body(request: Request): Promise<Uint8Array<ArrayBuffer>> {
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  try {
    for await (const piece of request.body ?? []) {
      length += piece.length;
      if (length > MAX_BODY) break;
      pieces.push(piece);
    }
  } catch {
    throw malformed('the body breaks off');
  }
  if (length > MAX_BODY) throw new Problem(413, 'body_too_large', 'the body has more than 1 MiB');
  return new Uint8Array(await new Blob(pieces).arrayBuffer());
}

function parse(bytes: Uint8Array<ArrayBuffer>): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    // The parser's own words repeat a part of the body.
    throw malformed('the body is not JSON in UTF-8');
  }
}
