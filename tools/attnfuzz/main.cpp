// attnfuzz's command line: one table of subcommands, one place that turns errors into exit codes.
#include <fmt/format.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <system_error>

#include "oracle/build.h"
#include "oracle/error.h"
#include "oracle/suggest.h"
#include "targets/given_up.h"
#include "tools/attnfuzz/command_help.h"
#include "tools/attnfuzz/logging.h"

namespace {

using namespace attnfuzz::cli;

constexpr Command commands[] = {
    {"targets", "List what can be tested here, with versions and what each supports", add_targets},
    {"run", "Fuzz targets: replay the corpus, generate new cases, shrink and report failures",
     add_run},
    {"ci", "Run in CI: replay regressions, then new cases within a budget; fail for new findings",
     add_ci},
    {"replay", "Run case files again and judge them", add_replay},
    {"shrink", "Reduce a failing case to the smallest one that fails the same way", add_shrink},
    {"show", "Describe a case in words and draw its mask", add_show},
    {"measure", "Measure what a target computes on a case: which tokens, with which weights",
     add_measure},
    {"judge", "Hold recorded calls against the reference: which layer and step is wrong",
     add_judge},
    {"compare", "Run the same cases through two targets and report only what differs", add_compare},
    {"fuzz", "Fuzz one target guided by coverage (needs the clang build: preset fuzz)", add_fuzz},
    {"corpus", "Show what folders of cases cover, reduce them, merge them", add_corpus},
    {"merge", "Merge the runs of a campaign's shards; each failure appears once", add_merge},
    {"report", "Write the reports of a run again, in any format", add_report},
    {"repro", "Write a program that shows the bug with the package under test alone", add_repro},
    {"triage",
     "Read somebody's error text: name the axes behind its numbers, find a case that raises it",
     add_triage},
    {"issue", "Write a case's failure as an issue body, ready to paste", add_issue},
    {"causes", "List the causes that diagnosis knows", add_causes},
    {"relations", "List the relations between cases that --relations checks", add_relations},
    {"env", "Make and list pinned Python environments, for targets named package:name@environment",
     add_env},
    {"bisect", "Find the release of a package in which a case's verdict changed", add_bisect},
    {"check", "Fuzz the Python function MODULE:FUNCTION, by what its parameters say", add_check},
    {"probe", "Run a target to find out what it can do, and write its claims", add_probe},
    {"record", "Run a program and record the attention calls that it makes, for judge", add_record},
    {"new", "Write a starting point: a plug-in, an adapter, a cache, a test, a CI job", add_new},
    {"include", "Print the folder of the plug-ins' headers, for the compiler's -I", add_include},
    {"completion", "Print a script that completes attnfuzz's words in a shell", add_completion},
    {"man", "Print the manual page", add_man, true},
    {"worker", "Serve one target over a pipe (attnfuzz starts these itself)", add_worker, true},
};

constexpr const char* footer =
    "Exit codes: 0 nothing found, 1 findings, 2 wrong usage or input, 3 attnfuzz itself failed or\n"
    "nothing was tested, 130 interrupted. report and issue exit with 1 when they write findings,\n"
    "or with 0 with --exit-zero.\n"
    "First steps:\n"
    "  attnfuzz targets\n"
    "  attnfuzz run -t specimen:llama4-chunked-eager --seed 1\n"
    "  attnfuzz run -t ./libmy_attention.so --time 60s\n";

/// What was wrong with the words given, the nearest word that there is, and where to read on.
std::string failure_message(const CLI::App* app, const CLI::Error& error) {
  const CLI::App* at = app;
  std::string name = "attnfuzz";
  while (!at->get_subcommands().empty()) {
    at = at->get_subcommands().front();
    name += " " + at->get_name();
  }
  std::vector<std::string> known, unknown = at->remaining();
  if (at == app)
    for (const CommandHelp& command : command_help(*app)) known.push_back(command.name);
  else
    for (const CLI::App* below : at->get_subcommands([](const CLI::App*) { return true; }))
      known.push_back(below->get_name());
  for (const CLI::Option* option : at->get_options())
    for (const std::string& each : option->get_lnames()) known.push_back("--" + each);
  std::string text = error.what();
  if (!unknown.empty())
    text = fmt::format("{} '{}' is unknown{}", at == app ? "command" : "argument", unknown.front(),
                       attnfuzz::did_you_mean(unknown.front(), known));
  return fmt::format("{}: {}\nRun `{} --help` for what there is.\n", name, text, name);
}

int run(int argc, char** argv) {
  CLI::App app{
      "attnfuzz finds wrong attention: it fuzzes attention and KV-cache implementations against a "
      "double-precision reference, shrinks each failure and names its cause.",
      "attnfuzz"};
  app.set_version_flag("--version", "attnfuzz " + attnfuzz::build::version());
  app.require_subcommand(1);
  app.footer(footer);
  app.failure_message(failure_message);
  int exit_code = nothing_found;
  add_logging(app);
  for (const Command& command : commands) {
    CLI::App* sub = app.add_subcommand(command.name, command.help);
    if (command.hidden) sub->group("");
    command.add(*sub, exit_code);
  }
  if (argc == 1) {
    fmt::print(stderr, "{}", app.help());
    return bad_input;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? nothing_found : bad_input;
  }
  return exit_code;
}

/// As any program whose reader has gone (`| head`): by the signal that it would have got.
[[noreturn]] void end_without_reader() {
  std::signal(SIGPIPE, SIG_DFL);
  std::raise(SIGPIPE);
  std::abort();
}

void say(const std::string& text) {
  std::fputs(text.c_str(), stderr);  // fmt::print throws where nobody reads
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a worker that died is told by its pipe's error
  try {
    const int exit_code = run(argc, argv);
    if (std::fflush(stdout) != 0)
      throw std::system_error(errno, std::generic_category(), "cannot write the output");
    return exit_code;
  } catch (const attnfuzz::InputError& error) {
    say(fmt::format("attnfuzz: {}\n", error.what()));
    return bad_input;
  } catch (const attnfuzz::GivenUp& error) {
    say(fmt::format("attnfuzz: {}\n", error.what()));
    return was_interrupted;
  } catch (const std::system_error& error) {
    if (error.code() == std::errc::broken_pipe) end_without_reader();
    say(fmt::format("attnfuzz: internal failure: {}\n", error.what()));
    return own_failure;
  } catch (const std::exception& error) {
    say(fmt::format("attnfuzz: internal failure: {}\n", error.what()));
    return own_failure;
  }
}
