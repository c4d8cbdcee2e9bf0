/** Keeps what a reload of the page takes up again, in the browser's own database (IndexedDB). */
/// <reference lib="dom" />

export interface Keeper {
  read<Value>(key: string): Promise<Value | undefined>;
  write(key: string, value: unknown): Promise<void>;
  remove(key: string): Promise<void>;
}

const DATABASE = "tiny-diffusion";
const STORE = "kept";

/** Opens the database. Where the browser has none to give (private windows), nothing is kept. */
export async function openKeeper(): Promise<Keeper> {
  try {
    const opening = indexedDB.open(DATABASE, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
    const database = await answer(opening);
    const store = (mode: IDBTransactionMode) =>
      database.transaction(STORE, mode).objectStore(STORE);
    return {
      read: (key) => answer(store("readonly").get(key)),
      write: async (key, value) => void await answer(store("readwrite").put(value, key)),
      remove: async (key) => void await answer(store("readwrite").delete(key)),
    };
  } catch {
    const nothing = () => Promise.resolve(undefined);
    return { read: nothing, write: nothing, remove: nothing };
  }
}

function answer<Value>(request: IDBRequest<Value>): Promise<Value> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
