/** tfjs as the engines use it: its operations, with their gradients and the CPU backend registered. */
import "@tensorflow/tfjs-backend-cpu";
import "./gradients.ts";

export * from "@tensorflow/tfjs-core";
