#include <array>

#include "cli/verb.h"

namespace edgewise {

extern const Verb kRunVerb;
extern const Verb kChatVerb;
extern const Verb kInspectVerb;
extern const Verb kTokenizeVerb;

std::span<const Verb* const> AllVerbs() {
  static constexpr const Verb* kVerbs[] = {
      &kRunVerb,
      &kChatVerb,
      &kInspectVerb,
      &kTokenizeVerb,
  };
  return kVerbs;
}

}  // namespace edgewise
