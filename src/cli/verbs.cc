#include <array>

#include "cli/verb.h"

namespace edgewise {

extern const Verb kRunVerb;
extern const Verb kChatVerb;
extern const Verb kInspectVerb;
extern const Verb kTokenizeVerb;
extern const Verb kEvalVerb;
extern const Verb kQuantizeVerb;
extern const Verb kSynthVerb;

std::span<const Verb* const> AllVerbs() {
  static constexpr const Verb* kVerbs[] = {
      &kRunVerb,
      &kChatVerb,
      &kInspectVerb,
      &kTokenizeVerb,
      &kEvalVerb,
      &kQuantizeVerb,
      &kSynthVerb,
  };
  return kVerbs;
}

}  // namespace edgewise
