import assert from 'node:assert/strict';
import { generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { subscribe } from './changes.mjs';
import { claim, report } from './claims.mjs';
import { BUCKET, PASSWORD, ask, connect, deployment, ok, person, submit, upload } from './deployment.mjs';
import { refused, refusedFile } from './refusals.mjs';

const JOBS = 'image_generation_jobs';
const address = () => `${randomUUID()}@example.com`;
const server = connect(deployment.secretKey);

/** A request to auth that must be refused with this status, code and words. */
async function refusedAuth(request, status, code, words, name = 'AuthApiError') {
  const { error } = await request;
  assert.ok(error, 'it was allowed');
  assert.deepEqual([error.name, error.status, error.code], [name, status, code], error.message);
  assert.match(error.message, words);
  return error;
}

/** Signs in with a client of its own. */
async function signIn(email, password = PASSWORD) {
  const client = connect();
  const { session, user } = await ok(client.auth.signInWithPassword({ email, password }));
  return { client, session, user, id: user.id, bucket: client.storage.from(BUCKET) };
}

await claim('a sign-up signs in, and keeps what the person said about themselves', async () => {
  const client = connect();
  const events = [];
  client.auth.onAuthStateChange((event) => events.push(event));
  const email = `Ada-${address()}`;
  const data = await ok(client.auth.signUp({ email, password: PASSWORD, options: { data: { name: 'Ada' } } }));
  const { user, session } = data;
  assert.deepEqual([user.email, user.role, user.aud], [email.toLowerCase(), 'authenticated', 'authenticated']);
  assert.deepEqual([user.user_metadata.name, user.app_metadata.provider, user.identities.length], ['Ada', 'email', 1]);
  assert.deepEqual([session.token_type, session.expires_in, session.user.id], ['bearer', 3600, user.id]);
  assert.ok(events.includes('SIGNED_IN'), String(events));
  assert.deepEqual((await ok(client.auth.getUser())).user, user);
  assert.equal((await ok(client.auth.getSession())).session.access_token, session.access_token);
});

await claim('a sign-up is refused for an address that is taken, one that is none, and a weak password', async () => {
  const { email } = await person();
  const { auth } = connect();
  await refusedAuth(
    auth.signUp({ email, password: PASSWORD }),
    422,
    'user_already_exists',
    /^User already registered$/,
  );
  await refusedAuth(auth.signUp({ email: 'ada', password: PASSWORD }), 400, 'validation_failed', /invalid format$/);
  const weak = auth.signUp({ email: address(), password: 'five5' });
  const error = await refusedAuth(
    weak,
    422,
    'weak_password',
    /^Password should be at least 6/,
    'AuthWeakPasswordError',
  );
  assert.deepEqual(error.reasons, ['length']);
  assert.equal((await ok(auth.getSession())).session, null);
});

await claim('a wrong password and an unknown address are refused in the same words', async () => {
  const { email } = await person();
  for (const credentials of [
    { email, password: 'wrong horse' },
    { email: address(), password: PASSWORD },
  ]) {
    const request = connect().auth.signInWithPassword(credentials);
    await refusedAuth(request, 400, 'invalid_credentials', /^Invalid login credentials$/);
  }
});

await claim('a refresh changes both tokens, and the new ones work everywhere', async () => {
  const me = await person();
  const { session: old } = await ok(me.client.auth.getSession());
  const { session } = await ok(me.client.auth.refreshSession());
  assert.notEqual(session.refresh_token, old.refresh_token);
  assert.equal(session.user.id, me.id);
  await submit(me, { prompt: 'a cup', source_paths: [await upload(me)] });
  // Two tabs may refresh with the same token at once.
  const tab = await ok(connect().auth.refreshSession({ refresh_token: old.refresh_token }));
  assert.equal(tab.session.refresh_token, session.refresh_token);
  const never = connect().auth.refreshSession({ refresh_token: 'never-given' });
  await refusedAuth(never, 400, 'refresh_token_not_found', /Refresh Token Not Found$/);
});

await claim('a session is carried over to another client, even when its access token has expired', async () => {
  const me = await person();
  const { session } = await ok(me.client.auth.getSession());
  const other = connect();
  await ok(other.auth.setSession(session));
  assert.equal((await ok(other.auth.getUser())).user.id, me.id);
  assert.equal((await ok(other.from(JOBS).select())).length, 0);

  const late = connect();
  const claims = { sub: me.id, role: 'authenticated', exp: seconds(-60) };
  const data = await ok(late.auth.setSession({ ...session, access_token: await ask('sign', { claims }) }));
  assert.ok(data.session.expires_at > seconds(0));
  assert.equal((await ok(late.auth.getUser())).user.id, me.id);
});

await claim('a local sign-out ends one session, a global one all', async () => {
  const { email } = await person();
  const [one, two, three] = [await signIn(email), await signIn(email), await signIn(email)];
  const alive = async ({ session }) => !(await connect().auth.refreshSession(session)).error;
  await one.client.auth.signOut({ scope: 'local' });
  assert.equal((await ok(one.client.auth.getSession())).session, null);
  await refusedAuth(connect().auth.refreshSession(one.session), 400, 'refresh_token_not_found', /Not Found$/);
  assert.ok(await alive(two));
  await three.client.auth.signOut({ scope: 'others' });
  assert.ok(!(await alive(two)) && (await alive(three)));
  const last = await signIn(email);
  await last.client.auth.signOut();
  assert.ok(!(await alive(last)) && !(await alive(three)));
  // The access token that is out is good until it expires; only auth itself knows that its session is over.
  const token = last.session.access_token;
  await refusedAuth(connect().auth.getUser(token), 400, undefined, /./, 'AuthSessionMissingError');
  assert.deepEqual(
    await ok(
      connect(undefined, { accessToken: async () => token })
        .from(JOBS)
        .select(),
    ),
    [],
  );
});

await claim('a person changes password and metadata', async () => {
  const { client, email } = await person();
  const update = client.auth.updateUser({ password: PASSWORD });
  await refusedAuth(update, 422, 'same_password', /should be different/);
  const { user } = await ok(client.auth.updateUser({ password: 'another horse', data: { name: 'Ada' } }));
  assert.equal(user.user_metadata.name, 'Ada');
  await refusedAuth(connect().auth.signInWithPassword({ email, password: PASSWORD }), 400, 'invalid_credentials', /./);
  await signIn(email, 'another horse');
});

await claim(
  "a token's claims are verified on the spot with the public keys, without asking about the user",
  async () => {
    const asked = [];
    const counting = (url, options) => {
      asked.push(new URL(url).pathname);
      return fetch(url, options);
    };
    const me = await person({ global: { fetch: counting } });
    asked.length = 0;
    const { claims, header } = await ok(me.client.auth.getClaims());
    assert.deepEqual([header.alg, claims.sub, claims.email], ['ES256', me.id, me.email]);
    assert.deepEqual(
      [claims.role, claims.aud, claims.iss],
      ['authenticated', 'authenticated', `${deployment.url}/auth/v1`],
    );
    assert.deepEqual(asked, ['/auth/v1/.well-known/jwks.json']);
    const { session } = await ok(me.client.auth.getSession());
    const [head, , signature] = session.access_token.split('.');
    const forged = `${head}.${encode({ ...claims, sub: randomUUID() })}.${signature}`;
    const invalid = ['invalid_jwt', /signature/, 'AuthInvalidJwtError'];
    await refusedAuth(me.client.auth.getClaims(forged), 400, ...invalid);
    const expired = await ask('sign', { claims: { ...claims, exp: seconds(-1) } });
    await refusedAuth(me.client.auth.getClaims(expired), 400, 'invalid_jwt', /expired/, 'AuthInvalidJwtError');
    assert.deepEqual(asked, ['/auth/v1/.well-known/jwks.json'], 'the keys are kept');
  },
);

await claim('tokens that are expired, forged or garbage are refused by rows, files, changes and auth', async () => {
  const me = await person();
  const path = await upload(me);
  const { claims } = await ok(me.client.auth.getClaims());
  const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const { session } = await ok(me.client.auth.getSession());
  const [head] = session.access_token.split('.');
  const signed = (header, body) => {
    const text = `${header}.${encode(body)}`;
    return `${text}.${sign('sha256', Buffer.from(text), { key: stranger, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
  };
  const tokens = {
    // PostgREST allows clocks to differ by half a minute.
    expired: await ask('sign', { claims: { ...claims, exp: seconds(-60) } }),
    forged: signed(head, claims),
    promoted: signed(head, { ...claims, role: 'service_role' }),
    unsigned: `${encode({ alg: 'none', typ: 'JWT' })}.${encode({ ...claims, role: 'service_role' })}.`,
    garbage: 'garbage',
  };
  const channel = {
    expired: /^InvalidJWTToken: Token has expired \d+ seconds ago$/,
    garbage: /^MalformedJWT: The token provided is not a valid JWT$/,
  };
  for (const [kind, token] of Object.entries(tokens)) {
    const client = connect(undefined, { accessToken: async () => token });
    const words = kind === 'expired' ? /^JWT expired$/ : /./;
    await refused(client.from(JOBS).select(), 401, 'PGRST301', words);
    const files = client.storage.from(BUCKET);
    await refusedFile(files.createSignedUrl(path, 60), '403', /./);
    await refusedFile(files.upload(`${me.id}/sources/x.png`, 'x', { contentType: 'image/png' }), '403', /./);
    // A download could be from a public bucket, where a token counts for nothing.
    await refusedFile(files.download(path), '404', /^Bucket not found$/);
    const joined = client.channel(randomUUID());
    const { error } = await subscribe(joined, 'CHANNEL_ERROR');
    assert.match(error.message, channel[kind] ?? /^JwtSignatureError: Failed to validate JWT signature$/, kind);
    await client.removeChannel(joined);
    await refusedAuth(connect().auth.getUser(token), 403, 'bad_jwt', /^invalid JWT/);
  }
});

await claim('a key that is not of this project opens nothing', async () => {
  const client = connect('sb_publishable_of-another-project');
  const answer = await client.from(JOBS).select();
  assert.deepEqual([answer.status, answer.error.message], [401, 'Invalid API key']);
  const { error } = await client.auth.signInWithPassword({ email: address(), password: PASSWORD });
  assert.deepEqual([error.status, error.message], [401, 'Invalid API key']);
  assert.ok((await client.storage.from(BUCKET).list()).error);
});

await claim('the secret key makes, finds, changes and lists people, and no other key does', async () => {
  const email = address();
  const wish = { email, password: PASSWORD, email_confirm: true, user_metadata: { name: 'Eve' } };
  const { user } = await ok(server.auth.admin.createUser(wish));
  assert.deepEqual([user.email, user.user_metadata.name], [email, 'Eve']);
  await signIn(email);
  await refusedAuth(server.auth.admin.createUser(wish), 422, 'email_exists', /already been registered$/);
  assert.equal((await ok(server.auth.admin.getUserById(user.id))).user.email, email);
  const { users } = await ok(server.auth.admin.listUsers({ page: 1, perPage: 1000 }));
  assert.ok(users.some(({ id }) => id === user.id));
  await ok(server.auth.admin.updateUserById(user.id, { password: 'another horse' }));
  await signIn(email, 'another horse');
  const unconfirmed = address();
  await ok(server.auth.admin.createUser({ email: unconfirmed, password: PASSWORD }));
  const early = connect().auth.signInWithPassword({ email: unconfirmed, password: PASSWORD });
  await refusedAuth(early, 400, 'email_not_confirmed', /^Email not confirmed$/);

  await refusedAuth(
    connect().auth.admin.createUser({ ...wish, email: address() }),
    403,
    'not_admin',
    /^User not allowed$/,
  );
  const { client } = await person();
  await refusedAuth(client.auth.admin.deleteUser(user.id), 403, 'not_admin', /^User not allowed$/);
});

await claim('a person who is deleted takes every row along, and their token finds nothing', async () => {
  const me = await person();
  const job = await submit(me, { prompt: 'a cup', source_paths: [await upload(me)], run_at: '2100-01-01' });
  const image = {
    job_id: job.id,
    user_id: me.id,
    carousel_id: randomUUID(),
    variant: 1,
    slide: 1,
    aspect_ratio: '1:1',
  };
  await ok(server.from('generated_carousel_images').insert(image));
  await ok(server.auth.admin.deleteUser(me.id));
  for (const table of [JOBS, 'generated_carousel_images', 'image_generation_templates']) {
    assert.deepEqual(await ok(server.from(table).select().eq('user_id', me.id)), [], table);
    assert.deepEqual(await ok(me.client.from(table).select()), [], table);
  }
  const [left] = await ask('rows', { query: `select count(*) from carousel_private.queue where job_id = '${job.id}'` });
  assert.equal(left.count, 0);
  await refused(
    me.client.from(JOBS).insert({ prompt: 'a cup', source_paths: job.source_paths }),
    409,
    '23503',
    /foreign key/,
  );
  await refusedAuth(me.client.auth.getUser(), 403, 'user_not_found', /does not exist$/);
  await refusedAuth(server.auth.admin.deleteUser(me.id), 404, 'user_not_found', /^User not found$/);
});

report();

function encode(value) {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function seconds(from_now) {
  return Math.floor(Date.now() / 1000) + from_now;
}
