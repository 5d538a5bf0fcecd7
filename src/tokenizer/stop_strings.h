// Stop strings in streamed text: holds back what may still become one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace edgewise {

class StopStrings {
 public:
  // Empty strings are ignored.
  explicit StopStrings(std::vector<std::string> stops);

  // Adds text; returns what may be shown now. Once a stop string is complete, everything from its
  // first byte on is dropped and stopped() is true. Of several the one that is complete first, and
  // of two complete with the same byte the longer: so the result does not depend on the pieces
  // pushed.
  std::string Push(std::string_view text);
  // The rest, when generation ended otherwise.
  std::string Flush();
  bool stopped() const { return stopped_; }

 private:
  size_t HeldBack() const;

  std::vector<std::string> stops_;
  std::string pending_;
  bool stopped_ = false;
};

}  // namespace edgewise
