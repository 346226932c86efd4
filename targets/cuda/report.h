#pragma once
#include <algorithm>
#include <string>
#include <vector>

namespace attnfuzz::cuda {

/// What a checker saw while kernels ran, in the words of compute-sanitizer: each line once.
class Report {
 public:
  explicit Report(size_t most_lines) : most_lines_(most_lines) {}

  void add(std::string line) {
    if (lines_.size() < most_lines_ &&
        std::find(lines_.begin(), lines_.end(), line) == lines_.end())
      lines_.push_back(std::move(line));
  }
  bool empty() const { return lines_.empty(); }
  std::string text() const {
    std::string all;
    for (const std::string& line : lines_) all += (all.empty() ? "" : "\n") + line;
    return all;
  }

 private:
  size_t most_lines_;
  std::vector<std::string> lines_;
};

/// `error` is what a device would have stopped at; `notes` explain what comes out.
struct Reports {
  Report error{1}, notes{8};
};

}  // namespace attnfuzz::cuda
