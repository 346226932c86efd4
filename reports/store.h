#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "fuzz/campaign.h"
#include "reports/report.h"

namespace attnfuzz {

/// findings.sqlite: one row for each (target, signature), with the shrunk case, the cause, counts,
/// first and last seen. Written at once when a finding comes, so that a kill loses nothing.
/// Throws InputError for a file that is not such a store.
class Store {
 public:
  explicit Store(const std::filesystem::path& file);
  ~Store();
  void add(const Report::Item& item);
  /// What the report of a DIR needs, without rerunning anything.
  std::vector<Report::Item> items() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace attnfuzz
