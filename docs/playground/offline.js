// Keeps all files of this page, so that it opens without a network.

importScripts('kept.js');  // writes self.KEPT = { version, files }, by build.py

const { version, files } = self.KEPT, MINE = 'mmdiffseg-playground-';

self.addEventListener('install', (event) => event.waitUntil((async () => {
  const cache = await caches.open(MINE + version);
  await cache.addAll(files.map((file) => new Request(file, { cache: 'reload' })));
  await self.skipWaiting();
})()));

self.addEventListener('activate', (event) => event.waitUntil((async () => {
  for (const name of await caches.keys()) if (name.startsWith(MINE) && name !== MINE + version) await caches.delete(name);
  await self.clients.claim();
})()));

self.addEventListener('fetch', (event) => {
  if (event.request.method !== 'GET') return;
  event.respondWith((async () => {
    const cache = await caches.open(MINE + version);
    return isolated(await cache.match(event.request, { ignoreSearch: true }) ?? await fetch(event.request));
  })());
});

// Several threads are for pages that load nothing from elsewhere and say so.
function isolated(response) {
  if (response.type === 'opaque' || response.type === 'error') return response;
  const headers = new Headers(response.headers);
  headers.set('Cross-Origin-Opener-Policy', 'same-origin');
  headers.set('Cross-Origin-Embedder-Policy', 'require-corp');
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}
