// The C library of TensorFlow writes its notes to stderr whatever TF_CPP_MIN_LOG_LEVEL says, since only the Python module
// passes that on. This does the same for the addon: 0 all, 1 warnings, 2 errors, 3 fatal ones.
#include <cstdlib>

#include "absl/log/globals.h"

namespace {

struct QuietLogs {
  QuietLogs() {
    const char* level = std::getenv("TF_CPP_MIN_LOG_LEVEL");
    if (level == nullptr) return;
    absl::SetMinLogLevel(static_cast<absl::LogSeverityAtLeast>(std::atoi(level)));
  }
} quiet_logs;

}  // namespace
