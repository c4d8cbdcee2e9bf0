// Vulkan's loader with one lie: that a device which computes on the CPU is a GPU. onnxruntime's WebGPU refuses the former, but
// computes on it all the same, so that tests can see what `onnx:webgpu` computes on a machine without a GPU.
//
// Everything goes to the loader that REAL_VULKAN names. Older versions of Mesa's llvmpipe also lack four features that WebGPU
// asks for and our programs don't use (indexing arrays of bindings); they are promised, and not asked of the device.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void (*Function)(void);
typedef void (*Describe)(void *device, void *answer);

enum { DISCRETE_GPU = 2, FEATURES2 = 1000059000, FEATURES = 55, FIRST = 33, LAST = 36 };

static Function (*find)(void *instance, const char *name);
static Describe properties, properties2, features, features2;
static int (*create)(void *, void *, void *, void *);
static uint32_t true_features[FEATURES];

// VkPhysicalDeviceProperties has the type at byte 16; what ends in 2 begins with 16 bytes of its own.
static void lieProperties(void *device, uint32_t *answer) {
  properties(device, answer);
  answer[4] = DISCRETE_GPU;
}
static void lieProperties2(void *device, uint32_t *answer) {
  properties2(device, answer);
  answer[8] = DISCRETE_GPU;
}

static void promise(uint32_t *flags) {
  memcpy(true_features, flags, sizeof true_features);
  for (int i = FIRST; i <= LAST; i++) flags[i] = 1;
}
static void lieFeatures(void *device, uint32_t *answer) {
  features(device, answer);
  promise(answer);
}
static void lieFeatures2(void *device, uint32_t *answer) {
  features2(device, answer);
  promise(answer + 4);
}

static void retract(uint32_t *flags) {
  for (int i = FIRST; i <= LAST; i++) flags[i] = flags[i] && true_features[i];
}
// VkDeviceCreateInfo: a chain of extensions at byte 8, the features at byte 64.
static int createDevice(void *device, char *request, void *allocator, void *result) {
  for (char *next = *(char **)(request + 8); next; next = *(char **)(next + 8)) {
    if (*(uint32_t *)next == FEATURES2) retract((uint32_t *)(next + 16));
  }
  uint32_t *flags = *(uint32_t **)(request + 64);
  if (flags) retract(flags);
  return create(device, request, allocator, result);
}

static int is(const char *name, const char *wanted) {
  size_t length = strlen(wanted);
  return !strncmp(name, wanted, length) && (!name[length] || !strcmp(name + length, "KHR"));
}

Function vkGetInstanceProcAddr(void *instance, const char *name) {
  if (!find) {
    void *library = dlopen(getenv("REAL_VULKAN"), RTLD_NOW | RTLD_LOCAL);
    if (!library) {
      fprintf(stderr, "%s\n", dlerror());
      abort();
    }
    find = (Function(*)(void *, const char *))dlsym(library, "vkGetInstanceProcAddr");
  }
  Function found = find(instance, name);
  if (!found) return found;
#define REPLACE(wanted, kept, ours)       \
  if (is(name, wanted)) {                 \
    kept = (void *)found;                 \
    return (Function)ours;                \
  }
  if (is(name, "vkGetInstanceProcAddr")) return (Function)vkGetInstanceProcAddr;
  REPLACE("vkGetPhysicalDeviceProperties2", properties2, lieProperties2)
  REPLACE("vkGetPhysicalDeviceProperties", properties, lieProperties)
  REPLACE("vkGetPhysicalDeviceFeatures2", features2, lieFeatures2)
  REPLACE("vkGetPhysicalDeviceFeatures", features, lieFeatures)
  REPLACE("vkCreateDevice", create, createDevice)
  return found;
}
