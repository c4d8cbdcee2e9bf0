/** The service worker that adds the headers of isolation, see `client/isolate.ts`. */
/// <reference lib="webworker" />
const scope = globalThis as unknown as ServiceWorkerGlobalScope;

const headers = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
  "cross-origin-resource-policy": "same-origin",
};

scope.addEventListener("install", () => scope.skipWaiting());
scope.addEventListener("activate", (event) => event.waitUntil(scope.clients.claim()));
scope.addEventListener("fetch", (event) => {
  const { request } = event;
  if (new URL(request.url).origin !== location.origin || request.method !== "GET") return;
  event.respondWith(addHeaders(request));
});

async function addHeaders(request: Request): Promise<Response> {
  const response = await fetch(request);
  if (response.status === 0 || response.type === "opaqueredirect") return response;
  const { status, statusText, body } = response;
  const isolated = new Headers(response.headers);
  for (const [name, value] of Object.entries(headers)) isolated.set(name, value);
  return new Response(body, { status, statusText, headers: isolated });
}
