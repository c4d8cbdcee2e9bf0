/**
 * Files written whole or not at all, locks that end with their process, and readers of safetensors
 * and of PyTorch's `.pt` that believe nothing before it is checked.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { readSafetensors, writeFileAtomically, writeSafetensors } from "@tiny-diffusion/files";
 *
 * const path = await Deno.makeTempFile({ suffix: ".safetensors" });
 * const w = { shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) };
 * await writeFileAtomically(path, writeSafetensors({ w }, { author: "me" }));
 * const { tensors, metadata } = readSafetensors(await Deno.readFile(path));
 * await Deno.remove(path);
 * assertEquals([...tensors.w.data, metadata.author], [1, 2, 3, 4, "me"]);
 * ```
 *
 * @module
 */

// files as a whole
export { exists, readBytes, type ReadOptions, sha256Hex } from "./read.ts";
export { makeFolder, removeLeftovers, requireWritable, writeFileAtomically } from "./write.ts";
export type { WriteOptions } from "./write.ts";
export { type FileLock, LockedError, lockFile } from "./lock.ts";
export { adviseJoining, findPieces, isPiece, writePieces } from "./pieces.ts";
export { describeIoError } from "./errors.ts";

// formats
export { readSafetensors, writeSafetensors } from "./safetensors.ts";
export type { Safetensors, StoredDType, StoredTensor } from "./safetensors.ts";
export { type PtFile, readPt, readPtFile, writePt } from "./pt.ts";
export { type HostTensor, type HostTensors } from "@tiny-diffusion/engines/tensors";
export { type Problem, UserError } from "@tiny-diffusion/engines/errors";
