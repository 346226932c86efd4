#include "reports/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <system_error>

#include "oracle/case_io.h"
#include "reports/story.h"
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

/// Written beside and renamed, so that a reader (or a kill) never sees half a file.
void write_file(const std::filesystem::path& file, const std::string& text) {
  const std::filesystem::path part = file.string() + ".part";
  {
    errno = 0;
    std::ofstream out(part, std::ios::binary);
    out << text;
    if (!out.flush()) {
      const std::string why = std::generic_category().message(errno);
      std::error_code ignored;
      std::filesystem::remove(part, ignored);
      throw InputError(file.string(), "", "expected a file that can be written: " + why);
    }
  }
  std::filesystem::rename(part, file);
}

/// A folder that was made for what can't be written whole goes again.
class FolderOfOne {
 public:
  explicit FolderOfOne(std::filesystem::path dir)
      : dir_(std::move(dir)), made_(std::filesystem::create_directories(dir_)) {}
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

[[noreturn]] void fail(const std::filesystem::path& dir,
                       const std::filesystem::filesystem_error& error) {
  throw InputError(dir.string(), "",
                   std::string("expected a folder that can be written: ") + error.code().message());
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

void write_finding(Report::Item& item, const std::filesystem::path& dir) try {
  const Finding& f = item.finding;
  FolderOfOne folder(dir);
  const Repro repro = make_repro(f);
  item.repro = repro.file_name;
  if (!repro.text.empty()) write_file(dir / repro.file_name, repro.text);
  write_file(dir / "case.json", write_case(f.shrunk.c));
  for (size_t k = 0; k < f.before.size(); ++k)
    write_file(dir / before_file(k), write_case(f.before[k]));
  write_file(dir / "report.md", finding_markdown(item));
  folder.keep();
} catch (const std::filesystem::filesystem_error& error) {
  fail(dir, error);
}

void write_formats(const Report& report, const std::filesystem::path& dir,
                   std::span<const std::string> formats) try {
  std::vector<const Writer*> chosen;
  for (const std::string& format : formats)
    if (const Writer* writer = &find_writer(format);
        std::find(chosen.begin(), chosen.end(), writer) == chosen.end())
      chosen.push_back(writer);
  Report written = merged(report);
  for (Report::Item& item : written.items)
    write_finding(item, dir / "findings" / item.finding.signature);
  std::filesystem::create_directories(dir);
  for (const Writer* writer : chosen) {
    if (writer->write != nullptr) write_file(dir / writer->file, writer->write(written));
    if (writer->write_item != nullptr)
      for (const Report::Item& item : written.items)
        write_file(dir / "findings" / item.finding.signature / writer->file,
                   writer->write_item(item));
  }
} catch (const std::filesystem::filesystem_error& error) {
  fail(dir, error);
}

void write_report(const Report& report, const std::filesystem::path& dir,
                  std::span<const std::string> formats) {
  std::vector<std::string> all{"json"};
  all.insert(all.end(), formats.begin(), formats.end());
  write_formats(report, dir, all);
}

}  // namespace attnfuzz
