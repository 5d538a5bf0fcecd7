#include "base/cgroup.h"

#include <fstream>
#include <sstream>
#include <string_view>

namespace edgewise {

std::string ReadSmallFile(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

void ForEachCgroup(const CgroupHierarchy& hierarchy, const std::string& root,
                   FunctionRef<void(const std::string& folder)> f) {
  std::istringstream groups(ReadSmallFile(root + "/proc/self/cgroup"));
  for (std::string line; std::getline(groups, line);) {
    // "4:cpu,cpuacct:/a/b": the controllers of a version 1 hierarchy are a list.
    const std::string_view prefix = hierarchy.prefix;
    const size_t colon = line.find(':');
    if (colon == std::string::npos || line.compare(colon, prefix.size(), prefix) != 0) continue;
    std::string path = line.substr(colon + prefix.size());
    for (;;) {
      while (path.ends_with('/')) path.pop_back();
      f(root + hierarchy.mount + path);
      if (path.empty()) break;
      path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
    }
  }
}

}  // namespace edgewise
