// What is told when a request fails: a problem document (RFC 9457) with a stable `code`, the same as the HTTP API's.

const TITLES: Record<number, string> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  405: 'Method Not Allowed',
  409: 'Conflict',
  413: 'Payload Too Large',
  415: 'Unsupported Media Type',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
};

/** A failed request. */
export class Problem extends Error {
  constructor(readonly status: number, readonly code: string, detail: string, readonly hint?: string) {
    super(detail);
  }

  answer(): Response {
    const title = TITLES[this.status] ?? 'Error';
    const document = { title, status: this.status, code: this.code, detail: this.message, hint: this.hint };
    const headers = new Headers({ 'content-type': 'application/problem+json' });
    if (this.status === 401) headers.set('www-authenticate', 'Bearer');
    if (this.status === 405) headers.set('allow', 'POST, OPTIONS');
    if (this.status === 503) headers.set('retry-after', '5');
    if (this.code === 'too_many_requests') headers.set('retry-after', '1');
    return new Response(JSON.stringify(document), { status: this.status, headers });
  }
}

/** The request can't be read; `detail` says where. */
export const malformed = (detail: string) => new Problem(400, 'malformed', detail);

export const unauthorized = () =>
  new Problem(
    401,
    'unauthorized',
    'the project does not accept the access token',
    'Send `Authorization: Bearer` with the access token of a signed-in person; sign in again when it is old.',
  );
