// Where the files for Vercel, Next.js and Kong send a path. Prints a line of JSON for each: { file, routes: { path: destination or null } }.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

// The packages live outside the repository, where module resolution would not look for them.
const require = createRequire(process.env.CAROUSEL_PACKAGES);
const { getTransformedRoutes } = require('@vercel/routing-utils');
const YAML = require('yaml');

const read = (name) => readFile(new URL(`../../edge-config/${name}`, import.meta.url), 'utf8');
const paths = JSON.parse(process.env.CAROUSEL_PATHS);
const tell = (file, find) =>
  console.log(JSON.stringify({ file, routes: Object.fromEntries(paths.map((path) => [path, find(path) ?? null])) }));

/** Vercel's own reading of rewrites: patterns, and destinations with their groups. Next.js builds hand theirs to the same. */
function rewritten(rewrites) {
  const { routes, error } = getTransformedRoutes({ rewrites });
  assert.equal(error, null);
  const rules = routes.filter(({ src, dest }) => src && dest);
  assert.equal(rules.length, rewrites.length);
  return (path) => {
    for (const { src, dest } of rules) {
      const match = new RegExp(src).exec(path);
      if (match) return dest.replace(/\$(\d)/g, (_, group) => match[group] ?? '');
    }
  };
}

const vercel = JSON.parse(await read('vercel.json'));
assert.deepEqual(Object.keys(vercel), ['$schema', 'rewrites'], 'what it does not know, Vercel refuses');
tell('vercel.json', rewritten(vercel.rewrites));

process.env.CAROUSEL_URL = 'http://worker.internal:8080';
const { default: next } = await import('../../edge-config/next.config.mjs');
const { beforeFiles, ...others } = await next.rewrites();
assert.deepEqual(others, {});
tell('next.config.mjs', rewritten(beforeFiles));

// Kong itself can't be had here. By its rules: the route with the longest path that the request's begins with.
const kong = YAML.parse(await read('kong.yml'), { strict: true, uniqueKeys: true });
assert.deepEqual(Object.keys(kong), ['_format_version', 'services']);
assert.equal(kong._format_version, '2.1');
const attributes = {
  service: ['name', 'url', 'routes', 'read_timeout', 'write_timeout'],
  route: ['name', 'paths', 'methods', 'strip_path', 'request_buffering', 'response_buffering'],
};
const routes = kong.services.flatMap((service) => {
  for (const name of Object.keys(service)) assert.ok(attributes.service.includes(name), name);
  return service.routes.flatMap((route) => {
    for (const name of Object.keys(route)) assert.ok(attributes.route.includes(name), name);
    assert.equal(route.strip_path, false, 'carousel knows its whole paths');
    return route.paths.map((path) => ({ path, url: service.url, route }));
  });
});
routes.sort((one, other) => other.path.length - one.path.length);
const api = routes.find(({ path }) => path.startsWith('/api/')).route;
assert.deepEqual([api.request_buffering, api.response_buffering, api.methods], [false, false, undefined]);
tell('kong.yml', (path) => {
  const found = routes.find((route) => path.startsWith(route.path));
  return found && `${found.url}${path}`;
});
