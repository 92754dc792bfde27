// Distances between columns of levels, and the spanning trees that bound the paths through them from below.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <vector>

#include "parallel.hpp"

namespace {

constexpr int64_t tile = 64;  // points that stay in the nearest cache
constexpr int64_t never = std::numeric_limits<int64_t>::max() / 2;

// points: [problems, n, width], bytes, 0 where there is nothing; distances: [problems, n, n].
template <bool Holes>
void measure(int64_t n, int64_t width, const uint8_t* points, int32_t* distances, int64_t first, int64_t last) {
    for (int64_t start = first; start < last;) {
        const int64_t problem = start / n, stop = std::min(last, (problem + 1) * n);
        const uint8_t* cloud = points + problem * n * width;
        for (int64_t left = 0; left < n; left += tile)
            for (int64_t row = start; row < stop; ++row)
                for (int64_t column = left; column < std::min(n, left + tile); ++column) {
                    const uint8_t *x = points + row * width, *y = cloud + column * width;
                    int32_t sum = 0;
                    for (int64_t i = 0; i < width; ++i) {
                        const int difference = std::abs(int(x[i]) - int(y[i]));
                        sum += !Holes || (x[i] && y[i]) ? difference : 0;
                    }
                    distances[row * n + column] = sum;
                }
        start = stop;
    }
}

// Prim's spanning tree where edge (a, b) costs scale x distance + price[a] + price[b]: what it costs, and how many edges
// each node has.
int64_t span(int64_t n, int64_t scale, const int32_t* distances, const int64_t* price, int32_t* degrees) {
    constexpr int64_t visited = -never;
    std::vector<int64_t> cheapest(n, never);
    std::vector<int32_t> parent(n, 0);
    std::fill_n(degrees, n, 0);
    int64_t total = 0;
    for (int64_t step = 1, here = 0; step < n; ++step) {
        const int32_t* row = distances + here * n;
        const int64_t own = price[here];
        int64_t least = never;
        cheapest[here] = visited;
        for (int64_t i = 0; i < n; ++i) {
            const int64_t cost = scale * row[i] + own + price[i], known = cheapest[i];
            parent[i] = cost < known ? int32_t(here) : parent[i];
            cheapest[i] = std::min(cost, known);
            least = std::min(least, known == visited ? never : cheapest[i]);
        }
        here = std::find(cheapest.begin(), cheapest.end(), least) - cheapest.begin();
        total += least;
        ++degrees[here], ++degrees[parent[here]];
    }
    return total;
}

}  // namespace

extern "C" void pcm_distances(int64_t problems, int64_t n, int64_t width, int64_t holes, int64_t threads,
                              const uint8_t* points, int32_t* distances) {
    in_parallel(problems * n, n * width / 16, threads, [=](int64_t first, int64_t last) {
        (holes ? measure<true> : measure<false>)(n, width, points, distances, first, last);
    });
}

extern "C" void pcm_span(int64_t problems, int64_t n, int64_t scale, int64_t threads, const int32_t* distances,
                         const int64_t* prices, int64_t* totals, int32_t* degrees) {
    in_parallel(problems, n * n, threads, [=](int64_t start, int64_t stop) {
        for (int64_t i = start; i < stop; ++i)
            totals[i] = span(n, scale, distances + i * n * n, prices + i * n, degrees + i * n);
    });
}
