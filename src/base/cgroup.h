// The control groups that hold this process, version 1 or 2.
#pragma once

#include <string>

#include "base/function_ref.h"

namespace edgewise {

// The text of a small file, empty when it cannot be read.
std::string ReadSmallFile(const std::string& path);

// How a controller's groups are found.
struct CgroupHierarchy {
  const char* mount;   // "/sys/fs/cgroup/memory", or "/sys/fs/cgroup" for version 2
  const char* prefix;  // of our line in /proc/self/cgroup after its number: ":memory:", "::"
};

// Calls f with the folder of our group and of each above it. In a container the path may lead outside
// of what is mounted; then only the mounted top exists, which is the container's own group. `root` is
// put before every path, so that a test can describe another machine.
void ForEachCgroup(const CgroupHierarchy& hierarchy, const std::string& root,
                   FunctionRef<void(const std::string& folder)> f);

}  // namespace edgewise
