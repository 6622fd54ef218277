import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { listen } from './changes.mjs';
import { claim, report } from './claims.mjs';
import { BUCKET, connect, deployment, ok, person, submit, upload } from './deployment.mjs';
import { refusedFile } from './refusals.mjs';

const [anna, bert] = await Promise.all([person(), person()]);
const nobody = connect();
const [photo] = deployment.photos;
const other = Buffer.from('not what it was');
const POLICY = ['403', /^new row violates row-level security policy$/];
const MISSING = ['404', /^Object not found$/];

// Anna has a source, and an image that was made of it.
const source = await upload(anna);
const told = await listen(anna.client, { table: 'image_generation_jobs', filter: `user_id=eq.${anna.id}` });
const job = await submit(anna, { prompt: 'a cup', source_paths: [source] });
await told.until('her job is over', (all) => all.find(({ new: row }) => row.status === 'completed'));
const { storage_path: image } = await ok(anna.client.from('generated_carousel_images').select().single());
const bytesOf = async (path) => Buffer.from(await (await ok(anna.bucket.download(path))).arrayBuffer());
const before = await bytesOf(image);

await claim("another person's files can't be read, signed, listed or found out", async () => {
  for (const path of [source, image]) {
    await refusedFile(bert.bucket.download(path), ...MISSING);
    await refusedFile(bert.bucket.info(path), ...MISSING);
    await refusedFile(bert.bucket.createSignedUrl(path, 60), ...MISSING);
    const { data, error } = await bert.bucket.exists(path);
    assert.deepEqual([data, error.statusCode], [false, '404']);
  }
  const [signed] = await ok(bert.bucket.createSignedUrls([image], 60));
  assert.equal(signed.signedUrl, null);
  assert.match(signed.error, /does not exist or you do not have access/);
  for (const folder of ['', anna.id, `${anna.id}/sources`, `${anna.id}/jobs/${job.id}`]) {
    assert.deepEqual(await ok(bert.bucket.list(folder)), [], folder);
  }
});

await claim("nothing can be put into another person's folder, by any of the ways", async () => {
  const place = `${anna.id}/sources/his.png`;
  const mine = await upload(bert);
  await refusedFile(bert.bucket.upload(place, photo.bytes, { contentType: photo.mime }), ...POLICY);
  await refusedFile(bert.bucket.upload(place, new Blob([photo.bytes], { type: photo.mime })), ...POLICY);
  await refusedFile(bert.bucket.upload(source, photo.bytes, { contentType: photo.mime, upsert: true }), ...POLICY);
  await refusedFile(bert.bucket.update(source, photo.bytes, { contentType: photo.mime }), ...POLICY);
  await refusedFile(bert.bucket.createSignedUploadUrl(place), ...POLICY);
  await refusedFile(bert.bucket.move(mine, place), ...POLICY);
  await refusedFile(bert.bucket.copy(mine, place), ...POLICY);
  // A path that climbs is not one of Bert's, wherever it is resolved.
  await refusedFile(bert.bucket.upload(`${bert.id}/../${place}`, photo.bytes, { contentType: photo.mime }), ...POLICY);
});

await claim("another person's files can't be taken away", async () => {
  for (const path of [source, image]) {
    assert.deepEqual(await ok(bert.bucket.remove([path])), []);
    await refusedFile(bert.bucket.move(path, `${bert.id}/sources/hers.png`), ...MISSING);
    await refusedFile(bert.bucket.copy(path, `${bert.id}/sources/hers.png`), ...MISSING);
  }
});

await claim('a person uploads under sources/ and nowhere else', async () => {
  const places = [
    'jobs/x.png',
    `jobs/${job.id}/1-1-1x1.png`,
    'exports/x.png',
    'x.png',
    'source/x.png',
    'Sources/x.png',
  ];
  for (const place of places) {
    const uploading = anna.bucket.upload(`${anna.id}/${place}`, photo.bytes, { contentType: photo.mime });
    await refusedFile(uploading, ...POLICY).catch((error) => assert.fail(`${place}: ${error.stack}`));
  }
  for (const place of ['x.png', 'sources/x.png', `sources/${anna.id}/x.png`]) {
    await refusedFile(anna.bucket.upload(place, photo.bytes, { contentType: photo.mime }), ...POLICY);
  }
});

await claim('what was generated is neither overwritten nor removed nor moved, not even by its owner', async () => {
  await refusedFile(anna.bucket.upload(image, other, { contentType: photo.mime, upsert: true }), ...POLICY);
  await refusedFile(anna.bucket.upload(image, other, { contentType: photo.mime }), ...POLICY);
  await refusedFile(anna.bucket.update(image, other, { contentType: photo.mime }), ...POLICY);
  await refusedFile(anna.bucket.createSignedUploadUrl(image, { upsert: true }), ...POLICY);
  assert.deepEqual(await ok(anna.bucket.remove([image])), []);
  await refusedFile(anna.bucket.move(image, `${anna.id}/sources/image.png`), ...MISSING);
  await refusedFile(anna.bucket.move(source, `${anna.id}/jobs/${job.id}/x.png`), ...POLICY);
  await refusedFile(anna.bucket.copy(source, `${anna.id}/jobs/${job.id}/x.png`), ...POLICY);
  assert.deepEqual(await bytesOf(image), before);
  // To use it as the source of another job is fine: its copy is a source.
  await ok(anna.bucket.copy(image, `${anna.id}/sources/image.png`));
});

await claim('who is not signed in finds an empty, closed bucket', async () => {
  const bucket = nobody.storage.from(BUCKET);
  await refusedFile(bucket.download(image), ...MISSING);
  await refusedFile(bucket.createSignedUrl(image, 60), ...MISSING);
  assert.deepEqual(await ok(bucket.list(anna.id)), []);
  assert.deepEqual(await ok(bucket.remove([image])), []);
  await refusedFile(
    bucket.upload(`${randomUUID()}/sources/x.png`, photo.bytes, { contentType: photo.mime }),
    ...POLICY,
  );
  const answer = await fetch(bucket.getPublicUrl(image).data.publicUrl);
  assert.deepEqual([answer.status, (await answer.json()).message], [400, 'Bucket not found']);
});

await claim('the bucket itself is closed: not seen, not changed, not emptied, not removed', async () => {
  for (const { storage } of [anna.client, nobody]) {
    assert.deepEqual(await ok(storage.listBuckets()), []);
    await refusedFile(storage.getBucket(BUCKET), '404', /^Bucket not found$/);
    await refusedFile(storage.updateBucket(BUCKET, { public: true }), '404', /^Bucket not found$/);
    await refusedFile(storage.createBucket(randomUUID(), { public: true }), ...POLICY);
    assert.ok((await storage.deleteBucket(BUCKET)).error);
    await storage.emptyBucket(BUCKET);
  }
  assert.deepEqual(await bytesOf(image), before);
});

report();
