/**
 * Tries TensorFlow as set up and prints the result as JSON. Runs in a separate process, since an
 * addon that does not fit this machine may end it.
 */
import { tensorflowStatus } from "../../engines/tensorflow/engine.ts";
import { printJson } from "../shared/run.ts";

printJson(await tensorflowStatus());
