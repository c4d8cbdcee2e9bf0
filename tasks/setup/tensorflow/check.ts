/**
 * Tries TensorFlow as set up, in a process of its own: an addon that does not fit this machine may
 * end it.
 */
import { tensorflowStatus } from "../../../engines/tensorflow/engine.ts";
import { printJson } from "../../shared/cli.ts";

printJson(await tensorflowStatus());
