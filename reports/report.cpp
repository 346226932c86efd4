#include "reports/report.h"

#include <fmt/format.h>

#include <algorithm>

#include "oracle/case_io.h"
#include "reports/story.h"
#include "reports/text_file.h"
#include "reports/writers/writers.h"

namespace attnfuzz {
namespace {

constexpr Writer kWriters[] = {
    {"json", "summary.json", write_json},
    {"md", "report.md", write_markdown},
    {"html", "index.html", write_html},
    {"junit", "junit.xml", write_junit},
    {"sarif", "results.sarif", write_sarif},
    {"job-summary", "job-summary.md", write_job_summary},
    {"issue", "issue.md", nullptr, write_issue},
};

const Writer& find_writer(std::string_view format) {
  std::string known;
  for (const Writer& writer : kWriters) {
    if (writer.format == format) return writer;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", writer.format);
  }
  throw InputError("--format", "", fmt::format("expected one of {}, not {}", known, format));
}

/// A folder that was made for what can't be written whole goes again.
class FolderOfOne {
 public:
  explicit FolderOfOne(std::filesystem::path dir)
      : dir_(std::move(dir)), made_(make_folder(dir_)) {}
  FolderOfOne(const FolderOfOne&) = delete;
  FolderOfOne& operator=(const FolderOfOne&) = delete;
  ~FolderOfOne() {
    std::error_code ignored;
    if (made_) std::filesystem::remove_all(dir_, ignored);
  }
  void keep() { made_ = false; }

 private:
  std::filesystem::path dir_;
  bool made_;
};

/// The same finding seen twice (in two runs, say) is one.
Report merged(const Report& report) {
  Report one = report;
  one.items.clear();
  for (const Report::Item& item : report.items) {
    if (Report::Item* known = one.find(item.finding.target, item.finding.signature))
      known->finding.count += item.finding.count;
    else
      one.items.push_back(item);
  }
  return one;
}

}  // namespace

std::span<const Writer> writers() {
  return kWriters;
}

Report::Item* Report::find(std::string_view target, std::string_view signature) {
  const auto item = std::find_if(items.begin(), items.end(), [&](const Item& each) {
    return each.finding.target == target && each.finding.signature == signature;
  });
  return item == items.end() ? nullptr : &*item;
}

size_t Report::new_findings() const {
  return static_cast<size_t>(
      std::count_if(items.begin(), items.end(), [](const Item& item) { return !item.known; }));
}

void write_finding(Report::Item& item, const std::filesystem::path& dir) {
  const Finding& f = item.finding;
  FolderOfOne folder(dir);
  const Repro repro = make_repro(f);
  item.repro = repro.file_name;
  if (!repro.text.empty()) write_text(dir / repro.file_name, repro.text);
  write_text(dir / "case.json", write_case(f.shrunk.c));
  for (size_t k = 0; k < f.before.size(); ++k)
    write_text(dir / before_file(k), write_case(f.before[k]));
  write_text(dir / "report.md", finding_markdown(item));
  folder.keep();
}

void write_formats(const Report& report, const std::filesystem::path& dir,
                   std::span<const std::string> formats) {
  std::vector<const Writer*> chosen;
  for (const std::string& format : formats)
    if (const Writer* writer = &find_writer(format);
        std::find(chosen.begin(), chosen.end(), writer) == chosen.end())
      chosen.push_back(writer);
  Report written = merged(report);
  for (Report::Item& item : written.items)
    write_finding(item, dir / "findings" / item.finding.signature);
  make_folder(dir);
  for (const Writer* writer : chosen) {
    if (writer->write != nullptr) write_text(dir / writer->file, writer->write(written));
    if (writer->write_item != nullptr)
      for (const Report::Item& item : written.items)
        write_text(dir / "findings" / item.finding.signature / writer->file,
                   writer->write_item(item));
  }
}

void write_report(const Report& report, const std::filesystem::path& dir,
                  std::span<const std::string> formats) {
  std::vector<std::string> all{"json"};
  all.insert(all.end(), formats.begin(), formats.end());
  write_formats(report, dir, all);
}

}  // namespace attnfuzz
