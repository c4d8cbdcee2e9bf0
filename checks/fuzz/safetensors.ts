/** The target `safetensors`: the format itself, whatever the tensors mean. */
import { readSafetensors, writeSafetensors } from "../../files/safetensors.ts";
import { type HostTensor, sizeOf } from "../../engines/tensors.ts";
import { type Choices, concatenate, mutateBytes, mutateJson, textBytes } from "./mutate.ts";
import { isSameData, promise, roundTrip, type Target } from "./target.ts";

export const safetensors: Target = {
  readers: ["files/safetensors.ts", "engines/errors.ts"],

  starts() {
    const float = (...shape: number[]): HostTensor => ({
      shape,
      data: Float32Array.from({ length: sizeOf(shape) }, (_, i) => i / 7 - 1),
    });
    const tensors = {
      a: float(2, 3),
      "b.weight": float(4),
      scalar: float(),
      empty: float(0, 5),
      tokens: { shape: [2], data: Int32Array.of(-1, 7) },
    };
    const bfloat = '{"h":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}';
    return [
      writeSafetensors({}),
      writeSafetensors(tensors),
      writeSafetensors(tensors, { format: "pt", name: "é\n" }, { dtype: "float16" }),
      withHeader(
        '{"__metadata__":null,"d":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}',
        new Uint8Array(Float64Array.of(1e300).buffer),
      ),
      withHeader(bfloat, Uint8Array.of(0xc0, 0x3f, 0x80, 0x7f)),
      Deno.readFileSync(new URL("../../core/testing/data/gpt.safetensors", import.meta.url)),
    ];
  },

  mutate(bytes, other, random) {
    const mutate = random.chance(0.8) ? mutateHeader : mutateBytes;
    return mutate(bytes, other, random);
  },

  async check(bytes) {
    const { tensors, metadata } = readSafetensors(bytes, { name: "x.safetensors" });
    let values = 0;
    for (const { shape, data } of Object.values(tensors)) {
      promise(data.length === sizeOf(shape), "a tensor has values for its shape");
      promise(data.buffer !== bytes.buffer, "a tensor shares no memory with the file");
      values += data.length;
    }
    promise(2 * values <= bytes.length, "there are no more values than the file has");
    const back = await roundTrip("it", () => readSafetensors(writeSafetensors(tensors, metadata)));
    promise(isSame(tensors, back.tensors), "tensors come back bit for bit");
    const isSameText = JSON.stringify(metadata) === JSON.stringify(back.metadata);
    promise(isSameText, "metadata comes back as it was");
    const kinds = new Set(Object.values(tensors).map(({ dtype }) => dtype));
    return `read ${[...kinds].sort()} of ${Object.keys(tensors).length} tensors`;
  },
};

/**
 * A file with changes to its header; the length of the header is that of the new one, nearly
 * always.
 */
export function mutateHeader(bytes: Uint8Array, other: Uint8Array, random: Choices): Uint8Array {
  const parts = partsOf(bytes);
  if (!parts) return mutateBytes(bytes, other, random);
  const header = mutateJson(parts.header, partsOf(other)?.header ?? "{}", random);
  const data = random.chance(0.1) ? mutateBytes(parts.data, other, random) : parts.data;
  const changed = withHeader(header, data);
  return random.chance(0.05) ? mutateBytes(changed, other, random) : changed;
}

export function partsOf(bytes: Uint8Array): { header: string; data: Uint8Array } | undefined {
  if (bytes.length < 8) return undefined;
  const length = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  if (length > bytes.length - 8) return undefined;
  const end = 8 + Number(length);
  return { header: new TextDecoder().decode(bytes.subarray(8, end)), data: bytes.subarray(end) };
}

export function withHeader(header: string, data: Uint8Array): Uint8Array {
  const json = textBytes(header);
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(json.length), true);
  return concatenate(length, json, data);
}

type Tensors = Record<string, HostTensor>;

export function isSame(a: Tensors, b: Tensors): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length &&
    names.every((name) =>
      Object.hasOwn(b, name) && String(a[name].shape) === String(b[name].shape) &&
      isSameData(a[name].data, b[name].data)
    );
}
