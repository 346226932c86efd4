// attnfuzz corpus stats|min|merge: folders of cases, measured by what they cover.
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>

#include "fuzz/coverage.h"
#include "fuzz/shrink.h"
#include "oracle/case_io.h"
#include "oracle/fnv.h"
#include "reports/text_file.h"
#include "tools/attnfuzz/command.h"

namespace attnfuzz::cli {
namespace {

namespace fs = std::filesystem;

struct CorpusFile {
  fs::path path;
  CaseFile file;
  std::vector<uint32_t> points;
};

/// *.case.json below the folder, and, of a fuzzer's own folder, every file that is a case.
std::vector<CorpusFile> read_folder(const std::string& dir) {
  if (!fs::is_directory(dir)) throw InputError(dir, "", "expected a folder of cases");
  std::vector<CorpusFile> files;
  for (const auto& entry : fs::recursive_directory_iterator(dir)) {
    if (!entry.is_regular_file()) continue;
    const fs::path& path = entry.path();
    if (path.string().ends_with(".case.json")) {
      files.push_back({path, read_case(path.string()), {}});
    } else if (path.extension().empty()) {
      const std::string text = read_text(path);
      if (text.starts_with('{')) files.push_back({path, parse_case(text, path.string()), {}});
    }
  }
  for (CorpusFile& each : files) each.points = coverage_of(each.file.c, {});
  std::sort(files.begin(), files.end(),
            [](const CorpusFile& a, const CorpusFile& b) { return a.path < b.path; });
  return files;
}

/// Its name in a corpus: the same for the same case, wherever it came from.
std::string name_of(const CorpusFile& file) {
  if (file.path.string().ends_with(".case.json")) return file.path.filename().string();
  return fmt::format("{:016x}.case.json", fnv1a(write_case(file.file.c)));
}

void copy_to(const CorpusFile& file, const fs::path& dir) {
  make_folder(dir);
  write_text(dir / name_of(file), write_case(file.file));
}

/// How many points of `file` are not in `covered`.
size_t gain(const CorpusFile& file, const std::set<uint32_t>& covered) {
  return static_cast<size_t>(std::count_if(file.points.begin(), file.points.end(),
                                           [&](uint32_t p) { return !covered.contains(p); }));
}

/// Small cases first, then those that cover more: each is kept if it covers something new.
std::vector<const CorpusFile*> chosen(const std::vector<CorpusFile>& files,
                                      std::set<uint32_t> covered) {
  std::vector<const CorpusFile*> order, kept;
  for (const CorpusFile& file : files) order.push_back(&file);
  std::stable_sort(order.begin(), order.end(), [](const CorpusFile* a, const CorpusFile* b) {
    const bool a_expects = !a->file.expect.empty(), b_expects = !b->file.expect.empty();
    if (a_expects != b_expects) return a_expects;
    return weight(a->file.c) < weight(b->file.c);
  });
  for (const CorpusFile* file : order) {
    if (gain(*file, covered) == 0 && file->file.expect.empty()) continue;
    kept.push_back(file);
    covered.insert(file->points.begin(), file->points.end());
  }
  return kept;
}

std::set<uint32_t> points_of(const std::vector<CorpusFile>& files) {
  std::set<uint32_t> all;
  for (const CorpusFile& file : files) all.insert(file.points.begin(), file.points.end());
  return all;
}

int stats(const std::vector<std::string>& dirs) {
  for (const std::string& dir : dirs) {
    const std::vector<CorpusFile> files = read_folder(dir);
    std::map<std::string, int> words;
    for (const CorpusFile& file : files)
      for (const std::string& word : features(file.file.c)) ++words[word];
    fmt::print("{}: {} cases cover {} points of the problem space, {} feature words\n", dir,
               files.size(), points_of(files).size(), words.size());
    for (const auto& [word, count] : words) fmt::print("  {:<32} {}\n", word, count);
  }
  return nothing_found;
}

int minimise(const std::string& dir, const std::string& out) {
  const std::vector<CorpusFile> files = read_folder(dir);
  const std::vector<const CorpusFile*> kept = chosen(files, {});
  for (const CorpusFile* file : kept) copy_to(*file, out);
  fmt::print("{} of {} cases cover the same {} points\n", kept.size(), files.size(),
             points_of(files).size());
  return nothing_found;
}

int merge(const std::string& into, const std::vector<std::string>& dirs) {
  size_t added = 0;
  for (const std::string& dir : dirs) {
    const std::set<uint32_t> covered =
        fs::is_directory(into) ? points_of(read_folder(into)) : std::set<uint32_t>();
    const std::vector<CorpusFile> files = read_folder(dir);
    for (const CorpusFile* file : chosen(files, covered)) {
      copy_to(*file, into);
      ++added;
    }
  }
  fmt::print("{} cases added to {}\n", added, into);
  return nothing_found;
}

struct Options {
  std::vector<std::string> dirs;
  std::string dir, out;
};

}  // namespace

void add_corpus(CLI::App& app, int& exit_code) {
  const auto o = std::make_shared<Options>();
  app.require_subcommand(1);
  CLI::App* of_stats = app.add_subcommand("stats", "How many cases there are, and what they cover");
  of_stats->add_option("dirs", o->dirs, "Folders of cases")->required();
  of_stats->callback([o, &exit_code] { exit_code = stats(o->dirs); });
  CLI::App* of_min = app.add_subcommand(
      "min", "Keep the smallest cases that cover the same, and all with an expected verdict");
  of_min->add_option("dir", o->dir, "Folder of cases")->required();
  of_min->add_option("-o,--out", o->out, "Folder for those that are kept")->required();
  of_min->callback([o, &exit_code] { exit_code = minimise(o->dir, o->out); });
  CLI::App* of_merge = app.add_subcommand("merge", "Add the cases that cover something new");
  of_merge->add_option("into", o->dir, "Folder to add to")->required();
  of_merge->add_option("dirs", o->dirs, "Folders to take from")->required();
  of_merge->callback([o, &exit_code] { exit_code = merge(o->dir, o->dirs); });
}

}  // namespace attnfuzz::cli
