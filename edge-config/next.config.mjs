// Next.js in front of carousel, on Vercel or on a server of yours: /api/image-generator/* of the app reaches it.
//
// Take `rewrites` over into the next.config of the app, and set CAROUSEL_URL where it is built: Next keeps the rewrites of the build. The worker's address must be
// one that this server can reach; on Vercel that is a public one, for example behind the Caddyfile beside this.

const carousel = process.env.CAROUSEL_URL ?? 'http://127.0.0.1:8080';

/** @type {import('next').NextConfig} */
export default {
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
