import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { claim, report } from './claims.mjs';
import { BUCKET, ask, connect, deployment, ok, person, upload } from './deployment.mjs';
import { refusedFile } from './refusals.mjs';

const ME = await person();
const { bucket } = ME;
const server = connect(deployment.secretKey);
const [png, jpeg] = deployment.photos;
const PNG = { contentType: png.mime };
const place = (name = `${randomUUID()}.png`) => `${ME.id}/sources/${name}`;
const bytesOf = async (blob) => Buffer.from(await blob.arrayBuffer());
const read = async (path) => bytesOf(await ok(bucket.download(path)));
const MISSING = ['404', /^Object not found$/];

await claim('every kind of body that a page may have is kept byte for byte', async () => {
  const { bytes } = png;
  const form = new FormData();
  form.append('', new Blob([bytes], { type: png.mime }));
  const bodies = {
    buffer: bytes,
    view: new Uint8Array(bytes),
    'array buffer': bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length),
    blob: new Blob([bytes], { type: png.mime }),
    file: new File([bytes], 'cup.png', { type: png.mime }),
    form,
    'web stream': new Blob([bytes]).stream(),
    'node stream': Readable.from([bytes.subarray(0, 100), bytes.subarray(100)]),
  };
  for (const [kind, body] of Object.entries(bodies)) {
    const path = place();
    const data = await ok(bucket.upload(path, body, PNG));
    assert.deepEqual([data.path, data.fullPath], [path, `${BUCKET}/${path}`], kind);
    const blob = await ok(bucket.download(path));
    assert.deepEqual([blob.type, await bytesOf(blob)], [png.mime, bytes], kind);
  }
});

await claim('an upload to a taken place is refused, unless it says that it replaces', async () => {
  const path = await upload(ME);
  await refusedFile(
    bucket.upload(path, jpeg.bytes, { contentType: jpeg.mime }),
    '409',
    /^The resource already exists$/,
  );
  assert.deepEqual(await read(path), png.bytes);
  const before = await ok(bucket.info(path));
  await ok(bucket.upload(path, jpeg.bytes, { contentType: jpeg.mime, upsert: true }));
  assert.deepEqual(await read(path), jpeg.bytes);
  const after = await ok(bucket.info(path));
  assert.deepEqual([after.id, after.contentType], [before.id, jpeg.mime]);
  assert.ok(after.version !== before.version && after.etag !== before.etag);
  const fresh = place();
  await ok(bucket.update(fresh, png.bytes, PNG));
  await ok(bucket.update(fresh, jpeg.bytes, { contentType: jpeg.mime }));
  assert.deepEqual(await read(fresh), jpeg.bytes);
});

await claim('what is said about a file is kept and shown', async () => {
  const said = { cacheControl: '60', metadata: { taken: 'at home' } };
  for (const body of [png.bytes, new Blob([png.bytes], { type: png.mime })]) {
    const path = place();
    const { id } = await ok(bucket.upload(path, body, { ...PNG, ...said }));
    const info = await ok(bucket.info(path));
    assert.deepEqual(
      [info.id, info.name, info.bucketId, info.size, info.contentType, info.cacheControl, info.metadata],
      [id, path, BUCKET, png.bytes.length, png.mime, 'max-age=60', { taken: 'at home' }],
    );
    assert.ok(Date.now() - Date.parse(info.createdAt) < 60_000 && info.etag);
  }
});

await claim('what is there exists, what is not does not, and is missing in every other way', async () => {
  const path = await upload(ME);
  assert.deepEqual(await bucket.exists(path), { data: true, error: null });
  const nowhere = place();
  const { data } = await bucket.exists(nowhere);
  assert.equal(data, false);
  await refusedFile(bucket.download(nowhere), ...MISSING);
  await refusedFile(bucket.info(nowhere), ...MISSING);
  await refusedFile(bucket.createSignedUrl(nowhere, 60), ...MISSING);
  await refusedFile(bucket.move(nowhere, place()), ...MISSING);
  await refusedFile(bucket.copy(nowhere, place()), ...MISSING);
  assert.deepEqual(await ok(bucket.remove([nowhere])), []);
  const other = ME.client.storage.from('no-such-bucket');
  await refusedFile(other.upload('x.png', png.bytes, PNG), '404', /^Bucket not found$/);
});

await claim('a path with signs and spaces works, one beyond ASCII is refused', async () => {
  for (const name of ['a b.png', 'a+b&c.png', "it's (1) = $2, @home; ok!.png", 'deep/er/x.png', '*:,.png']) {
    const path = place(`${randomUUID()}-${name}`);
    await ok(bucket.upload(path, png.bytes, PNG));
    assert.deepEqual(await read(path), png.bytes, name);
    const { signedUrl } = await ok(bucket.createSignedUrl(path, 60));
    assert.equal((await fetch(signedUrl)).status, 200, name);
  }
  for (const name of ['ü.png', '写真.png', 'a~b.png', '[1].png']) {
    await refusedFile(bucket.upload(place(name), png.bytes, PNG), '400', /^Invalid key: /);
  }
});

await claim('a folder is listed level by level, sorted, in pages, and searched', async () => {
  const folder = place(randomUUID());
  for (const name of ['b.png', 'A.png', 'c.png', 'deep/d.png'])
    await ok(bucket.upload(`${folder}/${name}`, png.bytes, PNG));
  const names = async (options, path = folder) => (await ok(bucket.list(path, options))).map(({ name }) => name);
  assert.deepEqual(await names(), ['A.png', 'b.png', 'c.png', 'deep']);
  assert.deepEqual(await names({ sortBy: { column: 'name', order: 'desc' } }), ['deep', 'c.png', 'b.png', 'A.png']);
  assert.deepEqual(await names({ limit: 2, offset: 1 }), ['b.png', 'c.png']);
  assert.deepEqual(await names({ search: 'C' }), ['c.png']);
  assert.deepEqual(await names({}, `${folder}/deep/`), ['d.png']);
  const files = (await ok(bucket.list(folder, { sortBy: { column: 'created_at', order: 'desc' } }))).filter(
    ({ id }) => id,
  );
  assert.deepEqual(
    files.map(({ name }) => name),
    ['c.png', 'A.png', 'b.png'],
  );
  const [first, , , last] = await ok(bucket.list(folder));
  assert.deepEqual([last.id, last.metadata], [null, null], 'a folder is only a name');
  assert.deepEqual([first.metadata.size, first.metadata.mimetype], [png.bytes.length, png.mime]);
  assert.deepEqual(await names({}, place('nothing')), []);
});

await claim('a file is moved and copied with all that it is', async () => {
  const [from, moved, copied] = [await upload(ME), place(), place()];
  const { id } = await ok(bucket.info(from));
  assert.equal((await ok(bucket.move(from, moved))).message, 'Successfully moved');
  await refusedFile(bucket.download(from), ...MISSING);
  assert.deepEqual([(await ok(bucket.info(moved))).id, await read(moved)], [id, png.bytes]);
  assert.deepEqual(await ok(bucket.copy(moved, copied)), { path: `${BUCKET}/${copied}` });
  const copy = await ok(bucket.info(copied));
  assert.ok(copy.id !== id && copy.contentType === png.mime);
  await refusedFile(bucket.copy(moved, copied), '409', /already exists$/);
  await refusedFile(bucket.move(moved, copied), '409', /already exists$/);
  await ok(bucket.remove([moved]));
  assert.deepEqual(await read(copied), png.bytes);
});

await claim('what is removed is told, and gone', async () => {
  const paths = [await upload(ME), await upload(ME)];
  const removed = await ok(bucket.remove([...paths, place()]));
  assert.deepEqual(removed.map(({ name }) => name).toSorted(), paths.toSorted());
  assert.ok(removed.every(({ bucket_id, owner }) => bucket_id === BUCKET && owner === ME.id));
  for (const path of paths) await refusedFile(bucket.download(path), ...MISSING);
});

await claim('a signed URL is for one file, whole or in part, and may name it', async () => {
  const [path, other] = [await upload(ME), await upload(ME)];
  const { signedUrl } = await ok(bucket.createSignedUrl(path, 60));
  const part = await fetch(signedUrl, { headers: { range: 'bytes=1-3' } });
  assert.deepEqual([part.status, await part.text()], [206, 'PNG']);
  assert.equal(part.headers.get('content-range'), `bytes 1-3/${png.bytes.length}`);
  const named = await ok(bucket.createSignedUrl(path, 60, { download: 'my cup.png' }));
  const disposition = (await fetch(named.signedUrl)).headers.get('content-disposition');
  assert.match(disposition, /^attachment; filename=my%20cup.png/);
  const stolen = await fetch(signedUrl.replace(encodeURI(path), encodeURI(other)));
  assert.deepEqual([stolen.status, (await stolen.json()).error], [400, 'InvalidSignature']);
  const broken = await fetch(signedUrl.replace('token=', 'token=x'));
  assert.deepEqual([broken.status, (await broken.json()).error], [400, 'InvalidJWT']);
  const many = await ok(bucket.createSignedUrls([path, place()], 60));
  assert.ok(many[0].signedUrl && !many[0].error && !many[1].signedUrl && many[1].error);
});

await claim(
  'a signed upload lets somebody without an account put one file, once, in the name of who signed',
  async () => {
    const path = place();
    const { token, path: signed } = await ok(bucket.createSignedUploadUrl(path));
    assert.equal(signed, path);
    const anyone = connect().storage.from(BUCKET);
    const data = await ok(anyone.uploadToSignedUrl(path, token, new Blob([png.bytes], { type: png.mime })));
    assert.deepEqual([data.path, data.fullPath], [path, `${BUCKET}/${path}`]);
    assert.deepEqual(await read(path), png.bytes);
    const [{ owner_id }] = await ask('rows', { query: `select owner_id from storage.objects where name = '${path}'` });
    assert.equal(owner_id, ME.id);
    await refusedFile(anyone.uploadToSignedUrl(path, token, png.bytes, PNG), '409', /already exists$/);
    await refusedFile(anyone.uploadToSignedUrl(place(), token, png.bytes, PNG), '400', /./);
    await refusedFile(bucket.createSignedUploadUrl(path), '409', /already exists$/);
    const again = await ok(bucket.createSignedUploadUrl(path, { upsert: true }));
    await ok(anyone.uploadToSignedUrl(path, again.token, jpeg.bytes, { contentType: jpeg.mime }));
    assert.deepEqual(await read(path), jpeg.bytes);
  },
);

await claim('the secret key makes a public bucket, whose files anyone may read', async () => {
  const { storage } = server;
  const name = `public-${randomUUID()}`;
  const limits = { public: true, fileSizeLimit: '10KB', allowedMimeTypes: ['image/*'] };
  assert.deepEqual(await ok(storage.createBucket(name, limits)), { name });
  await refusedFile(storage.createBucket(name), '409', /already exists$/);
  await ok(storage.from(name).upload('cup.png', png.bytes, PNG));
  const answer = await fetch(storage.from(name).getPublicUrl('cup.png').data.publicUrl);
  assert.deepEqual([answer.status, Buffer.from(await answer.arrayBuffer())], [200, png.bytes]);
  const text = storage.from(name).upload('x.txt', 'x', { contentType: 'text/plain' });
  await refusedFile(text, '415', /^mime type text\/plain is not supported$/);
  const large = storage.from(name).upload('x.png', Buffer.alloc(10_001), PNG);
  await refusedFile(large, '413', /exceeded the maximum allowed size$/);
  await ok(storage.updateBucket(name, { public: false }));
  assert.equal((await ok(storage.getBucket(name))).public, false);
  assert.ok((await ok(storage.listBuckets())).some(({ id }) => id === name));
  assert.equal((await fetch(storage.from(name).getPublicUrl('cup.png').data.publicUrl)).status, 400);
  await refusedFile(storage.deleteBucket(name), '409', /not empty$/);
  await ok(storage.emptyBucket(name));
  assert.equal((await ok(storage.deleteBucket(name))).message, 'Successfully deleted');
  await refusedFile(storage.getBucket(name), '404', /^Bucket not found$/);
});

report();
