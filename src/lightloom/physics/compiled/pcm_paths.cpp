// Short paths: in which order to write columns that all rows of an array have to take together.
//
// A path runs from a start to an end that are nodes of their own (n and n + 1), joined by an edge that no tour can
// afford to lose: so a path is a tour, and costs of starting and ending are distances like others. The search is that
// of Lin and Kernighan (Operations Research 21, 498 (1973)) with every step a reversal, insertions of short segments
// after Or, and kicks that exchange two neighbouring segments, undone where they do not pay (Martin, Otto and Felten,
// Operations Research Letters 11, 219 (1992)).
#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "parallel.hpp"

namespace {

constexpr int64_t joined = -(int64_t(1) << 40);  // what the edge between end and start costs
constexpr int64_t never = std::numeric_limits<int64_t>::max() / 2;
constexpr int nearest = 10;  // neighbours tried
constexpr int longest = 3;   // nodes moved together
// Steps of a chain, and of one that mends a kick: where all distances are alike, chains pay late and seldom.
constexpr size_t patient = 30, hasty = 5;
constexpr int64_t short_way = 50;  // the longest segment that a kick moves

struct Random {  // xorshift64*
    uint64_t state;
    int64_t below(int64_t bound) {
        state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
        return int64_t((state * 2685821657736338717u >> 32) * uint64_t(bound) >> 32);
    }
};

// The nodes that each node is nearest to, and their distances, in rising order; ties go to the lower node.
struct Neighbours {
    int64_t count;
    std::vector<int32_t> node;
    std::vector<int64_t> cost;

    template <typename Cost>
    Neighbours(int64_t nodes, Cost distance) : count(std::min<int64_t>(nearest, nodes - 1)) {
        std::vector<std::pair<int64_t, int32_t>> row(nodes);
        for (int32_t a = 0; a < nodes; ++a) {
            for (int32_t b = 0; b < nodes; ++b) row[b] = {a == b ? never : distance(a, b), b};
            std::partial_sort(row.begin(), row.begin() + count, row.end());
            for (int64_t i = 0; i < count; ++i) node.push_back(row[i].second), cost.push_back(row[i].first);
        }
    }
};

// Nodes that something has changed about, each once, first come first served.
struct Queue {
    std::vector<int32_t> waiting;
    std::vector<char> inside;
    size_t head = 0;

    explicit Queue(int64_t nodes) : inside(nodes) {}
    bool empty() const { return head == waiting.size(); }
    void push(int32_t node) {
        if (!std::exchange(inside[node], 1)) waiting.push_back(node);
    }
    int32_t pop() {
        const int32_t node = waiting[head++];
        inside[node] = 0;
        if (empty()) waiting.clear(), head = 0;
        return node;
    }
};

struct Problem {
    int64_t n;
    const int32_t *distances, *first, *last;

    int64_t operator()(int32_t a, int32_t b) const {
        if (a < n && b < n) return distances[a * n + b];
        if (a > b) std::swap(a, b);
        if (a >= n) return joined;
        return b == n ? first[a] : last[a];
    }
};

class Tour {
    struct Reversal {
        int32_t from, count;
        bool turned;
    };
    const Problem cost;
    const int32_t m;
    const Neighbours near;
    std::vector<int32_t> order, place;
    std::vector<Reversal> done;
    std::vector<std::pair<int32_t, int32_t>> added;
    Queue queue;
    Random random;
    size_t deepest = patient;
    bool mirrored = false;  // the tour is read backwards
    int64_t gained = 0;

    int32_t at(int64_t position) const { return order[position < m ? position : position - m]; }
    int32_t next(int32_t a) const { return mirrored ? at(place[a] + m - 1) : at(place[a] + 1); }
    int32_t previous(int32_t a) const { return mirrored ? at(place[a] + 1) : at(place[a] + m - 1); }

    void apply(const Reversal& reversal) {
        int32_t i = reversal.from, j = (reversal.from + reversal.count - 1) % m;
        for (int32_t swaps = reversal.count / 2; swaps > 0; --swaps) {
            std::swap(order[i], order[j]);
            place[order[i]] = i, place[order[j]] = j;
            i = i + 1 < m ? i + 1 : 0, j = j > 0 ? j - 1 : m - 1;
        }
        mirrored ^= reversal.turned;
    }

    // Reverses the way from a to b, by turning round whichever is shorter: it, or the rest of the tour.
    void reverse(int32_t a, int32_t b) {
        const int32_t i = place[mirrored ? b : a], j = place[mirrored ? a : b], inner = (j - i + m) % m + 1;
        done.push_back(2 * inner <= m ? Reversal{i, inner, false} : Reversal{(j + 1) % m, m - inner, true});
        apply(done.back());
    }

    void rewind(size_t kept) {
        for (; done.size() > kept; done.pop_back()) apply(done.back());
    }

    // The step that leaves the longest edge to drop next: from the node after `base` to the node returned, or -1.
    int32_t best_step(int32_t base, int64_t gain) const {
        const int32_t end = next(base);
        const int64_t open = gain + cost(base, end);
        int64_t most = -never;
        int32_t best = -1;
        for (int64_t k = end * near.count; k < (end + 1) * near.count && near.cost[k] < open; ++k) {
            const int32_t c = near.node[k], p = previous(c);
            if (c == base || p == end) continue;
            const int64_t value = cost(p, c) - near.cost[k];
            if (value <= most) continue;
            const bool fresh = std::none_of(added.begin(), added.end(), [=](auto edge) {
                return edge == std::pair(p, c) || edge == std::pair(c, p);
            });
            if (fresh) most = value, best = c;
        }
        return best;
    }

    // A chain of reversals that begins by joining c to the node after `base`; kept as far as it pays best.
    bool follow(int32_t base, int32_t c) {
        size_t kept = done.size();
        int64_t gain = 0, best = 0;
        added.clear();
        while (c >= 0 && added.size() < deepest) {
            const int32_t end = next(base), p = previous(c);
            gain += cost(base, end) - cost(end, c) + cost(p, c) - cost(base, p);
            reverse(end, p);
            added.push_back({end, c});
            if (gain > best) best = gain, kept = done.size();
            c = best_step(base, gain);
        }
        rewind(kept);
        if (best == 0) return false;
        for (auto [a, b] : added) queue.push(a), queue.push(b), queue.push(previous(a)), queue.push(next(a));
        queue.push(base);
        gained += best;
        return true;
    }

    bool chain(int32_t base) {
        const int32_t end = next(base);
        const int64_t dropped = cost(base, end);
        for (int64_t k = end * near.count; k < (end + 1) * near.count && near.cost[k] < dropped; ++k) {
            const int32_t c = near.node[k];
            if (c != base && previous(c) != end && follow(base, c)) return true;
        }
        return false;
    }

    bool within(int32_t node, int32_t s, int32_t length) const {
        const int32_t steps = mirrored ? place[s] - place[node] : place[node] - place[s];
        return (steps + m) % m < length;
    }

    // Moves the segment of up to `longest` nodes that begins with s to where s has a nearer neighbour.
    bool insert(int32_t s) {
        int32_t e = s;
        for (int32_t length = 1; length <= std::min(longest, m - 2); ++length, e = next(e)) {
            const int32_t p = previous(s), n = next(e);
            const int64_t saved = cost(p, s) + cost(e, n) - cost(p, n);
            for (int64_t k = s * near.count; k < (s + 1) * near.count && near.cost[k] < saved; ++k)
                for (const bool turned : {false, true}) {
                    const int32_t c = near.node[k], other = turned ? previous(c) : next(c);
                    if (within(c, s, length) || within(other, s, length)) continue;
                    const int64_t gain = saved - near.cost[k] - cost(e, other) + cost(c, other);
                    if (gain <= 0) continue;
                    const int32_t before = turned ? other : c;
                    reverse(s, before);
                    reverse(before, n);
                    if (!turned) reverse(e, s);
                    for (int32_t node : {p, s, e, n, c, other}) queue.push(node);
                    gained += gain;
                    return true;
                }
        }
        return false;
    }

    bool improve(int32_t node) {
        for (int side = 0; side < 2; ++side) {
            if (chain(node) || insert(node)) return true;
            mirrored = !mirrored;
        }
        return false;
    }

    void settle() {
        while (!queue.empty())
            for (const int32_t node = queue.pop(); improve(node);) {
            }
    }

    // Exchanges two short segments that follow each other, and goes back if the tour that comes of it is longer.
    void kick() {
        const int64_t reach = std::min<int64_t>(short_way, (m - 2) / 2);
        const int64_t before = random.below(m), middle = before + 1 + random.below(reach);
        const int64_t end = middle + 1 + random.below(reach);
        const int32_t a = at(before), s1 = at(wrap(before + 1)), e1 = at(wrap(middle));
        const int32_t s2 = at(wrap(middle + 1)), e2 = at(wrap(end)), z = at(wrap(end + 1));
        const int64_t loss = cost(a, s2) + cost(e2, s1) + cost(e1, z) - cost(a, s1) - cost(e1, s2) - cost(e2, z);
        if (loss >= -joined / 2) return;
        mirrored = false;
        done.clear();
        reverse(s1, e1), reverse(s2, e2), reverse(e1, s2);
        for (int32_t node : {a, s1, e1, s2, e2, z}) queue.push(node);
        gained = -loss;
        settle();
        if (gained < 0) rewind(0);
    }

    int64_t wrap(int64_t position) const { return position % m; }

    // From the start to the nearest node not yet visited, and so on; the end comes last.
    void begin() {
        std::vector<int32_t> left(m - 2);
        std::iota(left.begin(), left.end(), 0);
        order = {m - 2};
        while (!left.empty()) {
            const int32_t here = order.back();
            const auto found = std::min_element(left.begin(), left.end(), [&](int32_t a, int32_t b) {
                return std::pair(cost(here, a), a) < std::pair(cost(here, b), b);
            });
            order.push_back(*found);
            *found = left.back();
            left.pop_back();
        }
        order.push_back(m - 1);
        for (int32_t i = 0; i < m; ++i) place[order[i]] = i;
    }

   public:
    Tour(const Problem& problem, uint64_t seed)
        : cost(problem), m(problem.n + 2), near(m, problem), place(m), queue(m), random{seed} {}

    void search(int64_t kicks) {
        begin();
        for (int32_t node : order) queue.push(node);
        settle();
        deepest = hasty;
        while (kicks-- > 0) kick();
    }

    // Writes the way from start to end, and returns its length.
    int64_t read(int32_t* path) {
        if (next(m - 1) != m - 2) mirrored = !mirrored;
        int64_t length = -joined;
        for (int32_t node = m - 2, i = 0; i < m; ++i, node = next(node)) {
            length += cost(node, next(node));
            if (i > 0 && i < m - 1) path[i - 1] = node;
        }
        return length;
    }
};

void find_path(const Problem& problem, int64_t kicks, uint64_t seed, int32_t* path) {
    const int32_t n = problem.n, start = n, end = n + 1;
    int64_t natural = problem(start, 0) + problem(n - 1, end);
    for (int32_t i = 1; i < n; ++i) natural += problem(i - 1, i);
    Tour tour(problem, seed);
    tour.search(n > 3 ? kicks : 0);
    if (tour.read(path) >= natural) std::iota(path, path + n, 0);
}

}  // namespace

extern "C" void pcm_path(int64_t problems, int64_t n, int64_t kicks, int64_t seed, int64_t threads,
                         const int32_t* distances, const int32_t* first, const int32_t* last, int32_t* paths) {
    in_parallel(problems, n * (n + 1000 * (1 + kicks)), threads, [=](int64_t start, int64_t stop) {
        for (int64_t i = start; i < stop; ++i)
            find_path({n, distances + i * n * n, first + i * n, last + i * n}, kicks * n, seed, paths + i * n);
    });
}
