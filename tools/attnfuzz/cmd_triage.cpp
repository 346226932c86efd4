// From a stranger's traceback to named axes, a case that gives the same error, and an issue body.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <iostream>
#include <iterator>

#include "oracle/case_io.h"
#include "reports/environment.h"
#include "reports/issue.h"
#include "reports/report.h"
#include "reports/text_file.h"
#include "reports/triage/calls.h"
#include "reports/triage/write.h"
#include "targets/remote.h"
#include "tools/attnfuzz/checks.h"
#include "tools/attnfuzz/command.h"
#include "tools/attnfuzz/progress.h"
#include "tools/attnfuzz/target_options.h"

namespace attnfuzz::cli {
namespace {

struct Options {
  TargetOptions open;
  std::string file, shapes, layout = "bhsd", out = "attnfuzz-triage";
  std::vector<std::string> targets;
  triage::SearchOptions search;
  size_t most_targets = 6;
  bool no_run = false, json = false;
};

std::string read_input(const std::string& file) {
  std::string text =
      file != "-" ? read_text(file) : std::string{std::istreambuf_iterator<char>(std::cin), {}};
  if (text.empty()) throw InputError(file, "", "expected an error's text, found nothing");
  return text;
}

/// How many words of the target's name ("llama4", "flex") the traceback has.
size_t mentions(const std::string& target, const std::string& text) {
  size_t count = 0, from = 0;
  for (size_t at = 0; at <= target.size(); ++at)
    if (at == target.size() || target[at] == ':' || target[at] == '-') {
      count += at > from && text.find(target.substr(from, at - from)) != text.npos;
      from = at + 1;
    }
  return count;
}

/// The installed targets of the traceback's package, those that it mentions first.
std::vector<std::string> targets_of(const triage::Traceback& traceback, size_t most,
                                    std::string& missing) {
  std::vector<std::pair<size_t, std::string>> ranked;
  if (traceback.package.empty()) return {};
  for (const PythonTarget& target : list_python_targets()) {
    const std::string& name = target.info.name;
    if (!name.starts_with(traceback.package + ":") && name != traceback.package) continue;
    if (target.missing.empty())
      ranked.emplace_back(mentions(name, traceback.whole), name);
    else
      missing = target.missing;
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<std::string> names;
  for (size_t k = 0; k < std::min(most, ranked.size()); ++k) names.push_back(ranked[k].second);
  return names;
}

/// case.json, issue.md and what else a finding's folder has.
void write_found(const triage::Search& found, const triage::Reading& reading,
                 const std::filesystem::path& out) {
  const std::string now = fmt::format("{:%FT%TZ}", fmt::gmtime(std::time(nullptr)));
  const Finding& finding = *found.finding;
  Report::Item item{finding, diagnose(finding), now, now, "", environment_text()};
  const std::filesystem::path dir = out / finding.signature;
  write_finding(item, dir);
  if (found.same_numbers)
    write_text(dir / "case-same-numbers.json", write_case(*found.same_numbers));
  IssueFacts facts;
  facts.reported = reading.core;
  write_text(dir / "issue.md", issue_markdown(item, facts));
}

/// Null for a target that nobody named and that does not start here: the others are tried.
std::unique_ptr<Target> open_one(const Options& options, const std::string& name) try {
  return options.open.open(name);
} catch (const InputError& error) {
  if (!options.targets.empty()) throw;
  const std::string_view whole = error.what(), last = whole.substr(whole.rfind('\n') + 1);
  fmt::print(stderr, "skipped    {}{}\n", last.size() < whole.size() ? name + ": " : "", last);
  return nullptr;
}

void print_proposals(const std::vector<triage::Proposal>& proposals) {
  for (size_t k = 0; k < proposals.size(); ++k)
    fmt::print("{:<10} {} ({})\n", k == 0 ? "propose" : "", one_line(proposals[k].c),
               proposals[k].why);
}

/// What came out where no target raised the text. `missing`: why no target was run, "-" if some
/// were.
void print_end(const Options& options, const triage::Called* called, const std::string& missing,
               const std::string& issue) {
  if (missing != "-") {
    const bool none_wanted = options.targets.empty() && options.most_targets == 0;
    fmt::print("ran        no target: {}\n",
               none_wanted       ? "--most-targets is 0"
               : missing.empty() ? "no target of this package is here; name some with -t"
                                 : missing);
  }
  if (called != nullptr) {
    const std::filesystem::path out(options.out);
    write_text(out / "call.py", called->call.program);
    if (called->call.package == "strict")
      write_text(out / "attnfuzz_strict.py", std::string(triage::strict_program()));
    fmt::print("issue      {}\n", issue);
  } else {
    fmt::print("not found  the text was not found again{}\n",
               issue.empty() ? "" : "; " + issue + " says so");
  }
}

/// The first call of the reading's operation that raises the very text.
std::optional<triage::Called> call_again(const Options& options, const triage::Reading& reading) {
  if (!options.targets.empty()) return std::nullopt;
  std::vector<std::string> missing;
  for (const triage::Call& call : triage::calls_for(reading)) {
    if (std::find(missing.begin(), missing.end(), call.package) != missing.end()) continue;
    triage::Called called = triage::run_call(call, reading);
    if (called.version.empty()) missing.push_back(call.package);
    if (!options.json) fmt::print("{}", triage::called_text(called));
    if (called.same) return called;
  }
  return std::nullopt;
}

int run_triage(const Options& options) {
  const triage::Reading reading = triage::read_error(
      read_input(options.file), triage::parse_shapes(options.shapes, options.layout));
  if (!options.json) fmt::print("{}", triage::reading_text(reading));
  std::vector<std::string> names = options.targets;
  std::string missing;
  if (names.empty() && !options.no_run)
    names = targets_of(reading.traceback, options.most_targets, missing);
  std::vector<triage::Search> searches;
  std::optional<size_t> best;  // the first search that found it with these axes, else with any
  std::vector<triage::Proposal> proposals;
  for (const std::string& name : names) {
    const std::unique_ptr<Target> target = open_one(options, name);
    if (target == nullptr) continue;
    for (triage::Proposal& each : triage::propose(reading, target->info().capabilities))
      if (std::none_of(proposals.begin(), proposals.end(),
                       [&](const triage::Proposal& known) { return known.c == each.c; }))
        proposals.push_back(std::move(each));
    if (options.no_run) continue;
    searches.push_back(triage::search(*target, reading, options.search));
    if (!options.json) fmt::print("{}", triage::search_text(searches.back()));
    std::fflush(stdout);
    const triage::Search& last = searches.back();
    if (last.finding && (!best || last.same_axes)) best = searches.size() - 1;
    if (last.same_axes || interrupt_flag()) break;
  }
  // A case that raises it with numbers of other axes is another bug.
  if (best && !searches[*best].same_axes) best.reset();
  const std::optional<triage::Called> called =
      best || options.no_run ? std::nullopt : call_again(options, reading);
  if (best) write_found(searches[*best], reading, options.out);
  const bool read = reading.sureness != triage::Sureness::none;
  const std::filesystem::path own = std::filesystem::path(options.out) / "issue.md";
  if (!best && !options.no_run && read) {
    std::filesystem::create_directories(options.out);
    write_text(own, triage::triage_issue(reading, called ? &*called : nullptr));
  }
  if (options.json)
    fmt::print("{}", triage::triage_json(reading, proposals, searches));
  else if (best)
    fmt::print("issue      {}\n", (std::filesystem::path(options.out) /
                                   searches[*best].finding->signature / "issue.md")
                                      .string());
  else if (options.no_run)
    print_proposals(proposals);
  else
    print_end(options, called ? &*called : nullptr, searches.empty() ? missing : "-",
              read ? own.string() : "");
  return best || called ? findings : nothing_found;
}

}  // namespace

void add_triage(CLI::App& app, int& exit_code) {
  const auto o = std::make_shared<Options>();
  app.add_option("traceback", o->file,
                 "A file with the error text and what is around it; - for stdin")
      ->required();
  app.add_option(
      "--shapes", o->shapes,
      "Shapes that the report gives: q=2x8x4x32,k=2x8x6x32,mask=2x1x4x6 (also v, past, scores)");
  app.add_option("--layout", o->layout, "Layout of the shapes of q, k and v")
      ->check(CLI::IsMember({"bhsd", "bshd", "bsd", "nsd"}))
      ->capture_default_str();
  app.add_option("-t,--target", o->targets,
                 "Targets to look for the error in (default: the installed ones of its package)");
  app.add_option("--most-targets", o->most_targets, "How many targets to try if there is no -t")
      ->capture_default_str();
  app.add_option("--cases", o->search.cases,
                 "Generated cases for each target, after the proposed ones")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option("--seed", o->search.seed, "Seed of the generated cases")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option("-o,--out", o->out, "Folder for the case, the repro and the issue body")
      ->capture_default_str();
  app.add_flag("--no-run", o->no_run, "Read the text and propose cases, but run nothing");
  app.add_flag("--json", o->json, "Print everything as one JSON object");
  o->open.add(app);
  app.callback([o, &exit_code] {
    o->search.interrupt = &interrupt_flag();
    exit_code = run_triage(*o);
  });
}

}  // namespace attnfuzz::cli
