// Any bytes as a file of logits (eval --kl-base): opened, and if valid every row read and scored.
// Findings become cases of src/compress/logits_file_test.cc.
#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <vector>

#include "base/error.h"
#include "compress/evaluate.h"
#include "compress/logits_file.h"

namespace edgewise {
namespace {

constexpr uint32_t kMostScores = 1 << 16;  // vocab x rows: more would only be slow

// LogitsFile maps a file: one in memory, written anew for each input.
std::string PathOf(const uint8_t* data, size_t size) {
  static const int fd = memfd_create("logits", 0);
  EDGEWISE_CHECK(fd >= 0 && ftruncate(fd, 0) == 0);
  EDGEWISE_CHECK(pwrite(fd, data, size, 0) == static_cast<ssize_t>(size));
  return StrCat("/proc/self/fd/", fd);
}

void Run(const uint8_t* data, size_t size) {
  try {
    const LogitsFile base(PathOf(data, size));
    EDGEWISE_CHECK(base.tokens().size() == uint64_t{base.context()} * base.chunks());
    if (uint64_t{base.vocab()} * base.context() * base.chunks() > kMostScores) return;
    // A model that finds all tokens equally likely.
    const std::vector<float> logits(size_t{base.vocab()} * base.context());
    const auto next = [&](bool, std::span<const TokenId>, uint32_t rows) {
      return std::span(logits).first(size_t{rows} * base.vocab());
    };
    const LogitsSource uniform = {.vocab = base.vocab(),
                                  .most_tokens = base.context(),
                                  .most_rows = base.context(),
                                  .next = next};
    EvalOptions options;
    options.context = base.context();
    options.threads = 1;
    options.base = &base;
    const EvalResult result =
        Evaluate(uniform, base.tokens(), options, [](uint32_t, uint32_t, const EvalResult&) {});
    EDGEWISE_CHECK(std::abs(result.nll - std::log(base.vocab())) < 1e-3);
    EDGEWISE_CHECK(std::isfinite(result.kl.mean.value));
  } catch (const Error& error) {
    EDGEWISE_CHECK(error.message().find('\n') == std::string::npos);
  }
}

}  // namespace
}  // namespace edgewise

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  edgewise::Run(data, size);
  return 0;
}
