// Blocks are independent: cut them into runs, one worker thread per run.
#pragma once

#include <algorithm>
#include <cstdint>
#include <thread>
#include <vector>

// A thread costs some 20 us to start, so each gets at least this much work (in multiply-add pairs).
constexpr int64_t work_per_thread = int64_t(1) << 19;

// Calls run(first, last) on runs of items that together cover [0, items).
template <typename Run>
void in_parallel(int64_t items, int64_t work_per_item, int64_t threads, Run run) {
    const int64_t worth = items * work_per_item / work_per_thread;
    const int64_t workers = std::max<int64_t>(1, std::min({threads, worth, items}));
    std::vector<std::thread> crew;
    for (int64_t worker = 1; worker < workers; ++worker)
        crew.emplace_back(run, items * worker / workers, items * (worker + 1) / workers);
    run(0, items / workers);
    for (auto& member : crew) member.join();
}
