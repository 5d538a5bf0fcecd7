// Greedy merging of adjacent symbols, best pair first and leftmost among equals: the core of SPM
// and of BPE, which differ in what a pair becomes and how good that is.
//
// A linked list of symbols and a binary heap of candidate pairs. Each merge makes at most two new
// candidates, so n symbols take O(n log n) however they merge; candidates made stale by another
// merge are recognised when they come up.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

namespace edgewise {

inline constexpr uint32_t kNoSymbol = 0xFFFFFFFF;

struct Symbol {
  uint32_t id;          // the caller's; kNoSymbol for one that is no token
  uint32_t begin;       // in the text, bytes
  uint32_t length;      // bytes; 0: absorbed by the symbol on its left
  uint32_t prev, next;  // indices of the neighbours; kNoSymbol at the ends
};

struct MergeCandidate {
  uint64_t key;     // priority << 32 | index of the left symbol: the smallest goes first
  uint32_t length;  // of both symbols when the candidate was made; another length now: stale
  uint32_t id;      // of the merged symbol
  bool operator>(const MergeCandidate& other) const { return key > other.key; }
};

struct Merged {
  uint32_t id = kNoSymbol;  // kNoSymbol: the pair does not merge
  uint32_t priority = 0;    // the smallest goes first
};

// Merges `symbols` (linked in order, from index 0) in place; `heap` is scratch. `pair(left, right)`
// returns a Merged.
template <typename Pair>
void MergeSymbols(std::vector<Symbol>& symbols, std::vector<MergeCandidate>& heap, Pair&& pair) {
  heap.clear();
  const auto candidate = [&](uint32_t left) -> bool {
    const Symbol& l = symbols[left];
    const Symbol& r = symbols[l.next];
    const Merged merged = pair(l, r);
    if (merged.id == kNoSymbol) return false;
    heap.push_back({uint64_t{merged.priority} << 32 | left, l.length + r.length, merged.id});
    return true;
  };
  for (uint32_t i = 0; i + 1 < symbols.size(); ++i) candidate(i);
  std::make_heap(heap.begin(), heap.end(), std::greater<>());
  const auto push = [&](uint32_t left) {
    if (candidate(left)) std::push_heap(heap.begin(), heap.end(), std::greater<>());
  };

  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    const MergeCandidate best = heap.back();
    heap.pop_back();
    const auto left = static_cast<uint32_t>(best.key);
    Symbol& l = symbols[left];
    // Symbols only grow, so an unchanged total length means that both are as they were.
    if (l.length == 0 || l.next == kNoSymbol) continue;
    Symbol& r = symbols[l.next];
    if (l.length + r.length != best.length) continue;
    l.id = best.id;
    l.length = best.length;
    l.next = r.next;
    r.length = 0;
    if (l.next != kNoSymbol) {
      symbols[l.next].prev = left;
      push(left);
    }
    if (l.prev != kNoSymbol) push(l.prev);
  }
}

}  // namespace edgewise
