// Singular values and vectors of many small real matrices, by one-sided Jacobi rotations (Hestenes 1958).
//
// Pairs of columns are turned until all of them are orthogonal: what remains is U diag(sigma), and the turns together
// are V^T. Eight blocks are turned at once, [column][row][lane]. Each lane turns by its own criterion and by nothing
// else, so a block's result does not depend on its neighbours. Everything is float64: meshes are set from it.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <memory>

#include "lanes.hpp"
#include "parallel.hpp"

namespace {

constexpr double epsilon = 2.220446049250313e-16;
constexpr int most_sweeps = 40;  // 6 to 8 are usual

struct Work {
    int64_t blocks, size;
    const double* matrix;  // [blocks, size, size]
    double* u;             // [blocks, size, size]
    double* sigma;         // [blocks, size], descending
    double* v;             // [blocks, size, size]: a block is U diag(sigma) V
};

struct Group {
    const Work& work;
    const int64_t k;
    int64_t first, count;
    std::unique_ptr<Vector[]> columns, turns;  // [column][row]
    std::unique_ptr<Vector[]> squares;         // [column]: squared lengths
    bool finite;
    Vector floor, scale;                       // of a squared length that counts; of each lane, a power of two
    std::unique_ptr<double[]> basis, values;   // of one lane: [column][row], and [column]
    std::unique_ptr<int64_t[]> order;

    explicit Group(const Work& w)
        : work(w), k(w.size), first(0), count(0), finite(true), columns(new Vector[k * k]), turns(new Vector[k * k]),
          squares(new Vector[k]), basis(new double[k * k]), values(new double[k]), order(new int64_t[k]) {}

    double* lane_of(Vector* at, int64_t lane) { return reinterpret_cast<double*>(at) + lane; }

    // Scaled so that the largest element is between 1/2 and 1: squares neither overflow nor vanish.
    void load(int64_t group) {
        first = group * lanes;
        count = std::min<int64_t>(lanes, work.blocks - first);
        for (int64_t lane = 0; lane < lanes; ++lane) {
            const double* from = work.matrix + (first + std::min(lane, count - 1)) * k * k;
            double largest = 0;
            for (int64_t i = 0; i < k * k; ++i) largest = std::max(largest, std::fabs(from[i]));
            int exponent = 0;
            std::frexp(largest, &exponent);
            exponent = std::max(exponent, -1000);  // below, 2^-exponent is beyond all numbers
            scale[lane] = exponent;
            const double factor = std::ldexp(1.0, -exponent);
            for (int64_t row = 0; row < k; ++row)
                for (int64_t column = 0; column < k; ++column)
                    *lane_of(&columns[column * k + row], lane) = factor * from[row * k + column];
        }
        Vector power{};
        for (int64_t i = 0; i < k * k; ++i) {
            power += columns[i] * columns[i];
            turns[i] = Vector{} + (i % (k + 1) == 0 ? 1.0 : 0.0);
        }
        floor = power * (epsilon * epsilon);
        finite = true;
        for (int lane = 0; lane < lanes; ++lane) finite &= std::isfinite(power[lane]);
    }

    // Turn columns x and y until they are orthogonal; whether any lane was not so yet.
    bool turn(int64_t x, int64_t y) {
        Vector *a = &columns[x * k], *b = &columns[y * k];
        Vector aa{}, bb{}, ab{};
        for (int64_t row = 0; row < k; ++row) {
            aa += a[row] * a[row];
            bb += b[row] * b[row];
            ab += a[row] * b[row];
        }
        const Vector limit = (aa * bb) * (k * k * epsilon * epsilon);
        const Bits open = (ab * ab > limit) & (aa > floor) & (bb > floor);
        bool any = false;
        for (int lane = 0; lane < lanes; ++lane) any |= open[lane] != 0;
        if (!any) return false;
        const Vector zero{}, zeta = (bb - aa) / (open ? 2.0 * ab : zero + 1.0);
        const Vector steep = 1.0 / (magnitude(zeta) + root(1.0 + zeta * zeta));
        const Vector t = open ? (zeta < 0.0 ? -steep : steep) : zero;
        const Vector c = 1.0 / root(1.0 + t * t), s = c * t;
        rotate(a, b, c, s);
        rotate(&turns[x * k], &turns[y * k], c, s);
        return true;
    }

    void rotate(Vector* a, Vector* b, Vector c, Vector s) const {
        for (int64_t row = 0; row < k; ++row) {
            const Vector x = a[row], y = b[row];
            a[row] = c * x - s * y;
            b[row] = s * x + c * y;
        }
    }

    bool converge() {
        if (!finite) return false;
        for (int sweep = 0; sweep < most_sweeps; ++sweep) {
            bool turned = false;
            for (int64_t x = 0; x < k; ++x)
                for (int64_t y = x + 1; y < k; ++y) turned |= turn(x, y);
            if (!turned) return true;
        }
        return false;
    }

    void write() {
        for (int64_t column = 0; column < k; ++column) {
            Vector sum{};
            for (int64_t row = 0; row < k; ++row) sum += columns[column * k + row] * columns[column * k + row];
            squares[column] = sum;
        }
        for (int64_t lane = 0; lane < count; ++lane) write_lane(lane);
    }

    void write_lane(int64_t lane) {
        for (int64_t column = 0; column < k; ++column) {
            const double square = squares[column][lane];
            values[column] = square > floor[lane] ? std::sqrt(square) : 0.0;
            int64_t place = column;  // by insertion: equal values keep their order
            for (; place > 0 && values[order[place - 1]] < values[column]; --place) order[place] = order[place - 1];
            order[place] = column;
        }
        double *u = work.u + (first + lane) * k * k, *v = work.v + (first + lane) * k * k;
        for (int64_t n = 0; n < k; ++n) {
            const int64_t from = order[n];
            const double value = values[from];
            double* column = &basis[n * k];
            if (value > 0) {
                const double inverse = 1 / value;
                for (int64_t row = 0; row < k; ++row) column[row] = inverse * *lane_of(&columns[from * k + row], lane);
            } else {
                complete(n);
            }
            const double sign = sign_of(column);
            work.sigma[(first + lane) * k + n] = std::ldexp(value, int(scale[lane]));
            for (int64_t row = 0; row < k; ++row) {
                u[row * k + n] = sign * column[row];
                v[n * k + row] = sign * *lane_of(&turns[from * k + row], lane);
            }
        }
    }

    // Both factors may change sign together: the largest element of each left vector is made positive.
    double sign_of(const double* column) const {
        double largest = 0;
        for (int64_t row = 0; row < k; ++row)
            if (std::fabs(column[row]) > std::fabs(largest)) largest = column[row];
        return largest < 0 ? -1.0 : 1.0;
    }

    // A left vector without a singular value: what the first n leave of the axis that is least in them.
    void complete(int64_t n) {
        double least = 2;
        int64_t axis = 0;
        for (int64_t row = 0; row < k; ++row) {
            double inside = 0;
            for (int64_t other = 0; other < n; ++other) inside += basis[other * k + row] * basis[other * k + row];
            if (inside < least - 1e-9) least = inside, axis = row;
        }
        double* column = &basis[n * k];
        std::fill(column, column + k, 0.0);
        column[axis] = 1;
        for (int pass = 0; pass < 2; ++pass)  // twice is enough (Kahan and Parlett)
            for (int64_t other = 0; other < n; ++other) {
                const double* known = &basis[other * k];
                double inside = 0;
                for (int64_t row = 0; row < k; ++row) inside += known[row] * column[row];
                for (int64_t row = 0; row < k; ++row) column[row] -= inside * known[row];
            }
        double square = 0;
        for (int64_t row = 0; row < k; ++row) square += column[row] * column[row];
        for (int64_t row = 0; row < k; ++row) column[row] /= std::sqrt(square);
    }
};

}  // namespace

// Returns how many groups of eight did not converge, or hold NaN or infinity.
extern "C" int64_t blocks_svd(int64_t blocks, int64_t size, const double* matrix, double* u, double* sigma, double* v,
                              int64_t threads) {
    const Work work{blocks, size, matrix, u, sigma, v};
    std::atomic<int64_t> failed{0};
    in_parallel((blocks + lanes - 1) / lanes, 20 * lanes * size * size * size, threads, [&](int64_t from, int64_t to) {
        Group group(work);
        for (int64_t number = from; number < to; ++number) {
            group.load(number);
            if (!group.converge()) ++failed;
            group.write();
        }
    });
    return failed;
}
