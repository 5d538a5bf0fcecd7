// Guesses the next tokens from the text itself (prompt lookup decoding). Text that quotes, lists or loops
// repeats its n-grams, and a step that checks a guess of k tokens reads the weights once for 1 + k rows.
#pragma once

#include <cstdint>
#include <vector>

#include "base/token_id.h"

namespace edgewise {

// Appends `most` tokens to the text: those that followed the latest earlier occurrence of its last three
// tokens or, where there is none, of its last two; nothing where there is none either. An occurrence so
// late that fewer tokens followed it is a loop, which the guess goes on with.
// Allocates nothing when the text has the capacity.
void AppendNgramDraft(std::vector<TokenId>& text, uint32_t most);

}  // namespace edgewise
