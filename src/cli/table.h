// A table for the terminal: columns as wide as their widest cell.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace edgewise {

class Table {
 public:
  // A heading that begins with '<' is of a column aligned to the left, others to the right. With
  // all headings empty, no line of headings is printed.
  explicit Table(std::vector<std::string> headings);

  void Add(std::vector<std::string> cells);  // as many as there are headings
  // Lines indented by two, without blanks at their ends.
  std::string ToText() const;

 private:
  std::vector<bool> left_;
  std::vector<std::vector<std::string>> rows_;  // the headings first, if there are any
};

// "12,345,678"
std::string Grouped(uint64_t value);

// Text in quotes, with \n, \t, \" and whatever cannot be printed escaped; UTF-8 stays.
std::string Quoted(std::string_view text);

}  // namespace edgewise
