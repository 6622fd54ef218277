// The project, as any frontend has it: its address, the key for browsers, and supabase-js.

/** `url`, `publishable_key`, `model`, `quality`, and on one's own machine `demo`. */
export const config = await (await fetch('/image-generator/config.json')).json();

export const supabase = window.supabase.createClient(config.url, config.publishable_key);

export const bucket = supabase.storage.from('generated-carousels');

/** What came of a request that must succeed; its error is thrown otherwise. */
export async function ok(request) {
  const { data, error } = await request;
  if (error) throw error;
  return data;
}
