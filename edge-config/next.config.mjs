// Next.js in front of carousel, on Vercel or on a server of yours: /api/image-generator/* of the app reaches it.
//
// Take `rewrites` over into the next.config of the app, and set CAROUSEL_URL where it is built: Next keeps the rewrites of the build. This
// server must reach that address; on Vercel it is a public one, for example behind the Caddyfile beside this file.
//
// Events come through one by one. Bodies of more than 10 MB don't come through (Next 16 cuts them off, and the request ends with 500):
// upload photos to Storage, and send JSON.
//
// A form for one picture is answered when that is made. Next waits for half a minute by itself, Vercel for two: who gets no answer by then
// finds the picture among their jobs.

const carousel = process.env.CAROUSEL_URL ?? 'http://127.0.0.1:8080';

/** @type {import('next').NextConfig} */
export default {
  // Milliseconds: as long as carousel waits for one picture.
  experimental: { proxyTimeout: 300_000 },
  async rewrites() {
    return {
      // Before the app's own routes: the old endpoint must not answer any more.
      beforeFiles: [
        {
          source: '/api/image-generator/:path*',
          destination: `${carousel}/api/image-generator/:path*`,
        },
      ],
    };
  },
};
