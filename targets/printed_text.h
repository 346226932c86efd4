#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace attnfuzz {

/// What a process prints during one call, however much: its first and its last lines are kept. The
/// first often say what went wrong (a sanitizer, a read beyond an input), the last where.
class PrintedText {
 public:
  static constexpr size_t first_kept = 1024, last_kept = 2048;  ///< bytes

  void append(std::string_view text);
  void clear();
  /// Fit for a report: whole lines of ASCII, "[...]" where some are left out.
  std::string lines() const;

 private:
  std::string first_, last_;
};

}  // namespace attnfuzz
