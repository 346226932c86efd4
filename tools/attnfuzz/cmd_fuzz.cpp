// attnfuzz fuzz: coverage-guided, by the libFuzzer harness (preset fuzz); what fails there is
// judged again in a worker process, shrunk and reported as any other finding.
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <sstream>

#include "fuzz/clock.h"
#include "fuzz/known.h"
#include "fuzz/mutate.h"
#include "fuzz/reach/sequence.h"
#include "oracle/build.h"
#include "oracle/case_io.h"
#include "oracle/work.h"
#include "reports/text.h"
#include "reports/text_file.h"
#include "targets/remote.h"
#include "tools/attnfuzz/campaign_run.h"
#include "tools/attnfuzz/checks.h"
#include "tools/attnfuzz/command.h"
#include "tools/attnfuzz/progress.h"

namespace attnfuzz::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
  TargetOptions open;
  std::string target, time = "60s", corpus, out = "attnfuzz-out";
  std::vector<std::string> formats = {"md", "json", "html", "junit", "sarif"};
  uint64_t seed = 1;
  int64_t max_shrink_tries = 20000;
  bool quiet = false;
};

std::string fuzzer_program() {
  constexpr const char* name = "/attnfuzz_target_fuzzer";
  if (const char* program = std::getenv("ATTNFUZZ_FUZZER")) return program;
  for (const std::string& dir : {build::binary_dir(), attnfuzz_home() + "/build/fuzz"})
    if (fs::exists(dir + name)) return dir + name;
  throw InputError("fuzz", "",
                   "expected the harness; build it with clang: cmake --preset fuzz && cmake "
                   "--build build/fuzz --target attnfuzz_target_fuzzer (or name it in "
                   "ATTNFUZZ_FUZZER)");
}

/// The folders of a run, below --out; and the file of the goals that were reached.
struct Folders {
  fs::path failures, crashes, corpus, reached;

  explicit Folders(const Options& options)
      : failures(fs::path(options.out) / "failures"),
        crashes(fs::path(options.out) / "crashes"),
        corpus(options.corpus.empty() ? fs::path(options.out) / "corpus"
                                      : fs::path(options.corpus)),
        reached(fs::path(options.out) / "reached.txt") {
    for (const fs::path& dir : {failures, crashes, corpus}) make_folder(dir);
  }
};

/// Runs the harness once; its exit status. It ends by itself after the time, or at a crash.
int run_fuzzer(const std::string& program, const Options& options, const Folders& folders,
               int64_t seconds, uint64_t seed) {
  const std::vector<std::string> words = {
      program,
      fmt::format("-max_total_time={}", seconds),
      fmt::format("-seed={}", seed % 0xffffffffU + 1),
      "-max_len=65536",
      "-len_control=0",
      "-timeout=60",
      "-detect_leaks=0",
      "-print_final_stats=1",
      fmt::format("-artifact_prefix={}/", folders.crashes.string()),
      folders.corpus.string()};
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error("no process can be made");
  if (child == 0) {
    setenv("ATTNFUZZ_TARGET", options.target.c_str(), 1);
    setenv("ATTNFUZZ_FAILURES", folders.failures.c_str(), 1);
    setenv("ATTNFUZZ_REACHED", folders.reached.c_str(), 1);
    std::vector<char*> argv;
    argv.reserve(words.size() + 1);
    for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    if (FILE* log = std::freopen((options.out + "/fuzzer.log").c_str(), "a", stderr);
        log == nullptr)
      _exit(126);
    execv(argv[0], argv.data());
    _exit(127);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && (WEXITSTATUS(status) == 126 || WEXITSTATUS(status) == 127))
    throw InputError(program, "", "expected a program that can be run");
  return status;
}

/// Again and again until the time is over: a crash ends the harness, and is found on disk.
void fuzz_for(const Options& options, const Folders& folders, double seconds) {
  const std::string program = fuzzer_program();
  const Clock::time_point end = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                                   std::chrono::duration<double>(seconds));
  uint64_t seed = options.seed;
  int quick_ends = 0;  // in a row: something is wrong with the harness itself
  while (!interrupt_flag() && quick_ends < 5) {
    const auto left = std::chrono::ceil<std::chrono::seconds>(end - Clock::now()).count();
    if (left <= 0) return;
    const Clock::time_point start = Clock::now();
    const int status = run_fuzzer(program, options, folders, left, seed++);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
      throw InputError(options.target, "", "see " + options.out + "/fuzzer.log");
    if (status != 0) spdlog::info("the harness ended (status {}); it goes on", status);
    quick_ends = status != 0 && Clock::now() - start < std::chrono::seconds(1) ? quick_ends + 1 : 0;
  }
}

/// Puts into the corpus the cases by which a campaign of this seed reaches its goals: those that
/// the harness, slowed down by sanitizers, judges within a second.
void seed_corpus(Sequence& sequence, const Folders& folders) {
  constexpr double most_work = 1 << 24;
  for (const Sequence::Entry& entry : sequence.plan())
    if (entry.work <= most_work)
      write_text(folders.corpus / fmt::format("goal-{}.case.json", entry.index),
                 Mutator::encode(sequence(entry.index)));
}

/// The goals by what the harness has reached of them.
Reach reach_of(const Sequence& sequence, const Folders& folders) {
  Reach reach;
  for (const Goal& goal : sequence.goals())
    reach[goal.name] = "the fuzzer did not come to it in its time";
  std::istringstream names(read_text(folders.reached));
  for (std::string name; std::getline(names, name);)
    if (const auto goal = reach.find(name); goal != reach.end()) goal->second.clear();
  return reach;
}

/// The cases that failed in the harness or took it down.
std::vector<Case> failing_cases(const Folders& folders, const Capabilities& capabilities) {
  const Mutator mutator(capabilities);
  std::vector<fs::path> files;
  for (const fs::path& dir : {folders.failures, folders.crashes})
    for (const auto& entry : fs::directory_iterator(dir)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::vector<Case> cases;
  for (const fs::path& file : files) {
    const std::string text = read_text(file);
    cases.push_back(mutator.decode({reinterpret_cast<const uint8_t*>(text.data()), text.size()}));
  }
  return cases;
}

CampaignStats judge_again(Target& target, const std::vector<Case>& cases, const Options& options,
                          Session& session) {
  KnownFailures known;
  CampaignStats stats;
  for (const Case& c : cases) {
    Examination exam = examine(target, c);
    stats.count(c, exam.verdict);
    if (!exam.verdict.failed()) {
      spdlog::warn("a case that failed in the harness passes in a worker: {}", one_line(c));
      continue;
    }
    if (known.count(exam.signature, classify(c, exam.verdict), stats)) continue;
    const Finding finding = make_finding(target, c, std::move(exam),
                                         {options.max_shrink_tries, stop_at(&interrupt_flag())});
    if (known.add(finding, stats)) session.add(finding);
  }
  return stats;
}

int fuzz(Options& options) {
  const double seconds = parse_duration(options.time, "--time");
  options.open.isolate = true;
  const std::unique_ptr<Target> target = options.open.open(options.target);
  interrupt_flag();
  Session session(options.out, options.quiet);
  const Folders folders(options);
  Sequence sequence(target->info().capabilities, options.seed);
  seed_corpus(sequence, folders);
  write_text(folders.reached, "");
  fuzz_for(options, folders, seconds);
  CampaignStats stats =
      judge_again(*target, failing_cases(folders, target->info().capabilities), options, session);
  stats.seconds = seconds;
  stats.reach = reach_of(sequence, folders);
  session.report.options.seed = options.seed;
  session.count(target->info().name, stats);
  session.report.targets.emplace_back(target->info().name, stats);
  session.write(options.formats);
  if (!options.quiet)
    fmt::print("{}; reports in {}, the corpus in {}\n",
               text::count(static_cast<int64_t>(session.report.items.size()), "finding"),
               options.out, folders.corpus.string());
  if (!options.quiet) tell_reach(stats.reach);
  return session.report.items.empty() ? nothing_found : findings;
}

}  // namespace

void add_fuzz(CLI::App& app, int& exit_code) {
  const auto o = std::make_shared<Options>();
  app.add_option("-t,--target", o->target,
                 "What to fuzz: a built-in target, or a plug-in's path; compile the plug-in with "
                 "clang -fsanitize=fuzzer-no-link for its coverage")
      ->required();
  app.add_option("--time", o->time, "How long: 60s, 5m, 2h")->capture_default_str();
  app.add_option("--corpus", o->corpus,
                 "Folder of cases to start from; cases that cover something new are added to it "
                 "(default: OUT/corpus)");
  app.add_option("--seed", o->seed, "Seed of the mutations")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option("-o,--out", o->out, "Folder for the findings and reports")->capture_default_str();
  app.add_option("--format", o->formats, "Reports to write besides summary.json")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--max-shrink-tries", o->max_shrink_tries,
                 "Runs that shrinking one finding may cost")
      ->check(whole_number())
      ->capture_default_str();
  app.add_flag("-q,--quiet", o->quiet, "Print nothing but errors");
  o->open.add(app);
  app.callback([o, &exit_code] { exit_code = fuzz(*o); });
}

}  // namespace attnfuzz::cli
