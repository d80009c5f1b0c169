/** For esbuild: libraries that are not ES modules ask for Node's own by `require`. */
export const esmBanner = 'import { createRequire as requireOf } from \'node:module\'; const require = requireOf(import.meta.url);'
