// Finds things by name through indices sorted by it: internal to gguf/.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <optional>
#include <string_view>
#include <vector>

namespace edgewise {

class NameIndex {
 public:
  // name_of(i), for i in [0, count), is a string_view. Returns a thing whose name another one has.
  template <typename NameOf>
  std::optional<uint32_t> Build(size_t count, NameOf name_of) {
    order_.resize(count);
    std::iota(order_.begin(), order_.end(), 0u);
    // Over the whole range this is a heap sort. Names lie in a mapped file that may change while we
    // sort; std::sort relies on consistent answers to stay inside its range, a heap sort does not.
    std::partial_sort(order_.begin(), order_.end(), order_.end(),
                      [&](uint32_t a, uint32_t b) { return name_of(a) < name_of(b); });
    const auto twice =
        std::adjacent_find(order_.begin(), order_.end(),
                           [&](uint32_t a, uint32_t b) { return name_of(a) == name_of(b); });
    if (twice == order_.end()) return std::nullopt;
    return *twice;
  }

  // The same name_of as in Build().
  template <typename NameOf>
  std::optional<uint32_t> Find(std::string_view name, NameOf name_of) const {
    const auto at =
        std::lower_bound(order_.begin(), order_.end(), name,
                         [&](uint32_t i, std::string_view wanted) { return name_of(i) < wanted; });
    if (at == order_.end() || name_of(*at) != name) return std::nullopt;
    return *at;
  }

 private:
  std::vector<uint32_t> order_;
};

}  // namespace edgewise
