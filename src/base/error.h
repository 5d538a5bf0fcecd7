// The one exception type of Edgewise, and the check for our own bugs.
//
// Error is thrown while loading, parsing or checking arguments, and caught at the edge (command
// line, HTTP). Its message is one line: what is wrong, where, what to do. Nothing that happens to a
// single request of a server, and nothing on a worker thread, is an exception.
#pragma once

#include <cstdint>
#include <exception>
#include <string>
#include <utility>

#include "base/strings.h"

namespace edgewise {

enum class ErrorCode : uint8_t {
  kUsage,        // wrong or contradictory flags (exit status 2)
  kNotFound,     // no such file, tensor, device
  kIo,           // the system refused: permission, full disk, a file that changed under us
  kBadFile,      // contents that break the format's rules
  kUnsupported,  // well formed, but a type, architecture or construct we do not have
  kLimit,        // larger than a stated limit (context, memory, counts)
};

class Error : public std::exception {
 public:
  Error(ErrorCode code, std::string message) : code_(code), message_(std::move(message)) {}

  ErrorCode code() const { return code_; }
  const std::string& message() const { return message_; }
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  ErrorCode code_;
  std::string message_;
};

// Prints to stderr and aborts: only for states that our own code must exclude.
[[noreturn]] void CheckFailed(const char* condition, const char* file, int line);

}  // namespace edgewise

#define EDGEWISE_CHECK(condition) \
  ((condition) ? void(0) : ::edgewise::CheckFailed(#condition, __FILE__, __LINE__))
