// The project as the caller sees it: rows through PostgREST, with the caller's token and the publishable key. Row level security decides.

import { Problem, unauthorized } from './problem.ts';
import type { NewJob } from './request.ts';

/** How long the project may take to answer, in milliseconds. */
const PATIENCE = 30_000;

/** A row of image_generation_jobs. */
export type Job = Record<string, unknown> & { id: string };

/** The project can't be used, or was lost before it could say whether the job is there. */
class Unavailable extends Problem {
  constructor(reason: string) {
    super(503, 'project_unavailable', "the project can't be used now", 'Send the request again in some seconds.');
    console.error(`the project can't be used: ${reason}`);
  }
}

/** Makes the job, or finds the one that an earlier request with the same key has made, and says which. */
export async function insertJob(token: string, job: NewJob, key?: string): Promise<{ job: Job; replayed: boolean }> {
  // An id of ours: when the answer is lost, it tells whether the job was made.
  const id = crypto.randomUUID();
  const row = { ...job, id, ...(key === undefined ? {} : { idempotency_key: key }) };
  try {
    return { job: await send(token, '', row), replayed: false };
  } catch (failure) {
    if (failure instanceof Problem && failure.code === 'already_exists' && key !== undefined) {
      const found = await find(token, 'idempotency_key', key);
      if (found) return { job: found, replayed: true };
    } else if (failure instanceof Unavailable) {
      const made = await find(token, 'id', id).catch(() => undefined);
      if (made) return { job: made, replayed: false };
    }
    throw failure;
  }
}

/** The caller's job with this value in this column; nothing when there is none. */
async function find(token: string, column: string, value: string): Promise<Job | undefined> {
  const rows = await send(token, `?${column}=eq.${encodeURIComponent(value)}`) as unknown as Job[];
  return rows[0];
}

async function send(token: string, query: string, row?: NewJob): Promise<Job> {
  const { url, key } = project();
  const headers: Record<string, string> = { apikey: key, authorization: `Bearer ${token}` };
  if (row) {
    headers['content-type'] = 'application/json';
    headers.accept = 'application/vnd.pgrst.object+json';
    headers.prefer = 'return=representation';
  }
  let answer: Response, text: string;
  try {
    answer = await fetch(`${url}/rest/v1/image_generation_jobs${query}`, {
      method: row ? 'POST' : 'GET',
      headers,
      body: row && JSON.stringify(row),
      redirect: 'manual',
      signal: AbortSignal.timeout(PATIENCE),
    });
    text = await answer.text();
  } catch (error) {
    throw new Unavailable(error instanceof Error ? error.name : 'no connection');
  }
  const said = parse(text);
  if (answer.ok && said !== undefined) return said as Job;
  throw refusal(answer.status, (said ?? {}) as Record<string, unknown>);
}

/** What a refusal by PostgREST, or by the gateway in front of it, means. The database's own words stay here. */
function refusal(status: number, said: Record<string, unknown>): Problem {
  const text = (name: string) => typeof said[name] === 'string' ? said[name] as string : '';
  const [code, details, message] = [text('code'), text('details'), text('message')];
  // The schema's triggers put a stable code where the database's own refusals have a sentence, if anything.
  if (code.length === 5 && /^[a-z_]+$/.test(details)) {
    return new Problem(status, details, message, text('hint') || undefined);
  }
  if (status === 401) return unauthorized();
  if (code === '23505') return new Problem(409, 'already_exists', 'it is there already');
  const [, rule] = message.match(/check constraint "([^"]+)"/) ?? [];
  if (code === '23514' && rule) return new Problem(400, rule, `this breaks the rule ${rule}`);
  if (code === '23503') return new Problem(400, 'reference_missing', 'this names a row that is not there');
  if (code.startsWith('22') || code === '23502' || code === '23514') {
    return new Problem(400, 'value_invalid', 'a value is nothing that its column can hold');
  }
  if (status === 429) return new Problem(429, 'too_many_requests', 'the project wants fewer requests');
  // No such table or column: the schema is missing, or older than this function. The others pass, as a whole server does.
  const passing = ['42P01', '42703', '3F000', 'PGRST204', 'PGRST205', '40001', '40P01', '55P03', '57014'];
  if (status >= 500 || passing.includes(code)) return new Unavailable(`status ${status} ${code}`);
  if (status === 403) return new Problem(403, 'forbidden', 'the project does not allow this');
  console.error(`the project's answer is not understood: status ${status} ${code}`);
  return new Problem(502, 'project_not_understood', "the project's answer is not understood");
}

/** Address and publishable key, which the platform sets. The legacy anon key does as well. */
function project(): { url: string; key: string } {
  const named = parse(Deno.env.get('SUPABASE_PUBLISHABLE_KEYS') ?? '') as Record<string, string> | undefined;
  const key = named?.default ?? Object.values(named ?? {})[0] ?? Deno.env.get('SUPABASE_PUBLISHABLE_KEY') ??
    Deno.env.get('SUPABASE_ANON_KEY');
  const url = Deno.env.get('SUPABASE_URL');
  if (!url || !key) throw new Unavailable('SUPABASE_URL or SUPABASE_PUBLISHABLE_KEYS is not set');
  return { url: url.replace(/\/+$/, ''), key };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
