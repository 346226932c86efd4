#include "targets/remote.h"

#include <fmt/format.h>

#include <map>
#include <system_error>

#include "targets/no_device.h"
#include "targets/notes.h"
#include "targets/protocol.h"
#include "targets/wrapped_target.h"

namespace attnfuzz {
namespace {

std::map<std::string, std::string> environments;  ///< by the target's name

Status status_of(WorkerProcess::End end) {
  switch (end) {
    case WorkerProcess::End::timeout:
      return Status::timeout;
    case WorkerProcess::End::memory:
      return Status::memory;
    default:
      return Status::crash;
  }
}

/// Why a worker has no target to serve; the text names the plug-in's file already where it is one.
InputError complaint(std::string_view name, const std::string& missing) {
  if (name.starts_with(missing.substr(0, missing.find(": ")))) return InputError(missing);
  return InputError(std::string(name), "", missing);
}

/// A running worker and its memory; both are made anew for each respawn.
struct Worker {
  SharedMemory memory;
  WorkerProcess process;
  explicit Worker(const WorkerCommand& command) : process(command, memory.fd()) {}
};

class RemoteTarget : public Target {
 public:
  RemoteTarget(const std::string& name, WorkerCommand command, const WorkerLimits& limits)
      : command_(std::move(command)), limits_(limits) {
    Description greeted = start(name);
    if (greeted.missing.starts_with(no_device)) throw NoDevice(name, greeted.missing);
    if (!greeted.missing.empty()) throw complaint(name, greeted.missing);
    info_ = std::move(greeted.info);
    info_.trusted = false;
    environments[info_.name] = std::move(greeted.environment);
  }

  const TargetInfo& info() const override { return info_; }

  Outcome run(const Case& c, const Inputs& inputs) override {
    try {
      if (!worker_) {
        start(info_.name);
        note(fmt::format("{}: a new worker is process {}", info_.name, worker_->process.pid()));
      }
    } catch (const InputError& e) {
      worker_.reset();
      return {Status::crash, fmt::format("the worker does not start again: {}", e.what()), {}};
    }
    const std::string request = write_request(++id_, c, inputs, worker_->memory, threads_);
    const WorkerProcess::Answer answer = exchange(request);
    if (answer.end != WorkerProcess::End::line) {
      worker_.reset();
      note(fmt::format("{}: the worker ended at request {}: {}", info_.name, id_,
                       answer.text.substr(0, answer.text.find('\n'))));
      return {status_of(answer.end), answer.text, {}};
    }
    try {
      Outcome outcome = parse_reply(answer.text, id_, limits_.output_bytes, worker_->memory);
      if (outcome.final) {
        worker_->process.wait_for_end(limits_.end_seconds);
        worker_.reset();
        note(fmt::format("{}: the worker can do no more after request {}", info_.name, id_));
      }
      return outcome;
    } catch (const ProtocolError& e) {
      worker_.reset();
      note(fmt::format("{}: the worker was ended at request {}: {}", info_.name, id_, e.what()));
      return {Status::crash, fmt::format("not a worker's reply: {}", e.what()), {}};
    }
  }

  bool restart() override {
    if (id_ != first_id_) worker_.reset();  // one that has run nothing is as good as a new one
    return true;
  }
  void use_threads(int count) override { threads_ = count; }

 private:
  Description start(const std::string& name) {
    worker_ = std::make_unique<Worker>(command_);
    first_id_ = id_;
    const WorkerProcess::Answer answer =
        worker_->process.exchange({}, limits_.hello_seconds, limits_.memory_bytes, limits_.waiting);
    if (answer.end != WorkerProcess::End::line) throw InputError(name, "", answer.text);
    if (limits_.greeted) limits_.greeted();
    try {
      return parse_hello(answer.text, name);
    } catch (const ProtocolError& e) {
      throw InputError(name, "", fmt::format("not a worker's greeting: {}", e.what()));
    }
  }

  WorkerProcess::Answer exchange(const std::string& request) {
    try {
      return worker_->process.exchange(request, limits_.case_seconds, limits_.memory_bytes,
                                       limits_.waiting);
    } catch (
        ...) {  // by limits_.waiting: the reply may still come, and must not be taken for another
      worker_.reset();
      throw;
    }
  }

  WorkerCommand command_;
  WorkerLimits limits_;
  TargetInfo info_;
  std::unique_ptr<Worker> worker_;
  uint64_t id_ = 0, first_id_ = 0;  ///< of the last request, and of that before the worker's first
  int threads_ = 0;
};

/// What a target comes down to below all that is wrapped around it; nullptr: no worker's.
const RemoteTarget* remote_inside(const Target& target) {
  const Target* inmost = &target;
  while (const auto* wrapped = dynamic_cast<const WrappedTarget*>(inmost))
    inmost = &wrapped->inside();
  return dynamic_cast<const RemoteTarget*>(inmost);
}

}  // namespace

bool runs_in_worker(const Target& target) {
  return remote_inside(target) != nullptr;
}

std::string worker_environment(const std::string& target) {
  const auto found = environments.find(target);
  return found == environments.end() ? "" : found->second;
}

std::unique_ptr<Target> open_remote(const std::string& name, const WorkerCommand& command,
                                    const WorkerLimits& limits) {
  return std::make_unique<RemoteTarget>(name, command, limits);
}

std::unique_ptr<Target> open_isolated(const std::string& name, const WorkerLimits& limits,
                                      const std::string& program) {
  return open_remote(name, {{program, "worker", name}, {}}, limits);
}

}  // namespace attnfuzz
