/** From a program to the graph that an engine lowers. */
import type { Program } from "../engine.ts";
import type { HostTensors } from "../tensors.ts";
import type { Graph } from "./graph.ts";
import { record } from "./recorder.ts";
import { simplify } from "./simplify.ts";

/**
 * Records a program and simplifies its graph.
 *
 * @param name What errors call the program.
 * @param state Names and shapes of the state; the data are not looked at.
 * @throws {TypeError} As `record`.
 */
export function compile(name: string, program: Program, state: HostTensors): Graph {
  return simplify(record(name, program, state));
}
