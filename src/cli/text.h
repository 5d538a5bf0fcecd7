// Numbers and words as people read them.
#pragma once

#include <string>
#include <string_view>

namespace edgewise {

// Printf formats of one number.
std::string Number(double value, const char* format);
// "85.99 s", "5.320 us", "5,160 s": four digits.
std::string HumanSeconds(double seconds);
std::string HumanJoules(double joules);
std::string PercentText(double share);  // "12.03%"
// "5.42", of tokens per second: three digits at most, all of those before the point.
std::string RateText(double tok_s);
std::string GigabyteText(double bytes);  // "1.39 GB", "853 MB"

// Letters of ASCII in lower case, whatever the locale.
std::string Lower(std::string_view text);

}  // namespace edgewise
