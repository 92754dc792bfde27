// The rotations that take an orthogonal or unitary matrix to its diagonal, one element nulled at a time.
//
// Which element comes next is the same for every matrix, so eight blocks are turned together: the state is
// [row][column][lane], and every operation is one vector of 64 bytes, whether it runs along a row or a
// column. Everything is float64: the angles of the last rotations depend on those of all before.

#include <cstdint>
#include <memory>

#include "lanes.hpp"
#include "parallel.hpp"

namespace {

// A squared modulus below this has lost digits to underflow: the element counts as zero already.
constexpr double vanishing = 1e-290;

struct Step {
    int32_t mzi, upper, nulled, left;  // left: rows (upper, upper + 1), column `nulled`; else columns, row `nulled`
};

struct Task {
    int64_t blocks, size, mzis;
    const Step* steps;      // [mzis], in the order of nulling
    const double* matrix;   // [blocks, size, size], complex interleaved
    double* phases;         // [blocks, phases], in [0, 2 pi)
    double* signs;          // [blocks, size], of a real matrix alone
    double* deviation;      // [blocks]: how far what remains is from a diagonal of unit moduli
    double full_turn;       // phases from here on are written as 0
};

Vector kept(Vector squared) { return squared < vanishing ? Vector{} : squared; }

Vector over(Vector x, Vector modulus, double otherwise) {
    const Vector fallback = Vector{} + otherwise;
    return modulus > 0.0 ? x / modulus : (modulus == 0.0 ? fallback : modulus);  // NaN stays NaN
}

// One complex number per lane: its modulus and direction (1 for zero).
struct Polar {
    Vector squared, modulus;
    Phasor direction;

    explicit Polar(const Vector* x)
        : squared(kept(x[0] * x[0] + x[1] * x[1])),
          modulus(root(squared)),
          direction{over(x[0], modulus, 1.0), over(x[1], modulus, 0.0)} {}
};

Phasor times_conjugate(Phasor x, Phasor y) { return {x.re * y.re + x.im * y.im, x.im * y.re - x.re * y.im}; }

void turn(Vector* x, Phasor by) {
    const Vector re = x[0], im = x[1];
    x[0] = re * by.re - im * by.im;
    x[1] = re * by.im + im * by.re;
}

template <bool Complex>
struct Group {
    static constexpr int planes = Complex ? 2 : 1;
    const Task& task;
    const int64_t k, m, phases, pitch;  // one spare column: rows a power of two apart would share cache sets
    int64_t first, count;               // the blocks of this group
    std::unique_ptr<Vector[]> data;
    std::unique_ptr<Phasor[]> turned;  // e^{i phase} of every phase found so far

    explicit Group(const Task& t)
        : task(t), k(t.size), m(t.mzis), phases(Complex ? 2 * m + k : m), pitch(k + 1), first(0), count(0),
          data(new Vector[k * pitch * planes]), turned(new Phasor[phases]) {}

    Vector* at(int64_t row, int64_t column) { return data.get() + (row * pitch + column) * planes; }

    void load(int64_t group) {
        first = group * lanes;
        count = std::min<int64_t>(lanes, task.blocks - first);
        for (int64_t lane = 0; lane < lanes; ++lane) {
            const int64_t block = first + std::min(lane, count - 1);  // the last group repeats its last block
            const double* from = task.matrix + block * k * k * planes;
            for (int64_t row = 0; row < k; ++row) {
                double* to = reinterpret_cast<double*>(at(row, 0)) + lane;
                for (int64_t i = 0; i < k * planes; ++i) to[i * lanes] = from[row * k * planes + i];
            }
        }
    }

    // Turn elements x and y by [[c, -s], [s, c]].
    static void rotate(Vector* x, Vector* y, Vector c, Vector s) {
        for (int p = 0; p < planes; ++p) {
            const Vector a = x[p], b = y[p];
            x[p] = c * a - s * b;
            y[p] = s * a + c * b;
        }
    }

    void null(const Step& step) {
        const int64_t a = step.upper, n = step.nulled;
        Vector *u = step.left ? at(a, n) : at(n, a), *v = step.left ? at(a + 1, n) : at(n, a + 1);
        Vector c, s;
        Phasor phi{};
        if constexpr (Complex) {
            const Polar pu(u), pv(v);
            const Vector h = root(pu.squared + pv.squared);
            c = over(step.left ? pu.modulus : pv.modulus, h, 1.0);
            s = over(step.left ? pv.modulus : pu.modulus, h, 0.0);
            phi = step.left ? times_conjugate(pv.direction, pu.direction)
                            : times_conjugate(pu.direction, pv.direction);
            if (step.left) phi = {-phi.re, -phi.im};
            // Next to a zero any phi does; 0 needs no heater, and rounds to itself.
            const Bits both = (pu.squared > 0.0) & (pv.squared > 0.0);
            phi = {both ? phi.re : Vector{} + 1.0, both ? phi.im : Vector{}};
            turned[m + step.mzi] = phi;
        } else {
            const Vector h = root(kept(u[0] * u[0] + v[0] * v[0]));
            c = over(step.left ? u[0] : v[0], h, 1.0);
            s = over(step.left ? -v[0] : u[0], h, 0.0);
        }
        turned[step.mzi] = {c, s};
        if (step.left) turn_rows(a, n, c, s, phi);
        else turn_columns(a, n, c, s, phi);
    }

    // M <- T M on rows (a, a + 1); columns left of the nulled one are zero there already.
    void turn_rows(int64_t a, int64_t nulled, Vector c, Vector s, Phasor phi) {
        for (int64_t column = nulled; column < k; ++column) {
            if constexpr (Complex) turn(at(a, column), phi);
            rotate(at(a, column), at(a + 1, column), c, s);
        }
    }

    // M <- M T^-1 on columns (a, a + 1); rows below the nulled one are zero there already.
    void turn_columns(int64_t a, int64_t nulled, Vector c, Vector s, Phasor phi) {
        for (int64_t row = 0; row <= nulled; ++row) {
            if constexpr (Complex) turn(at(row, a), {phi.re, -phi.im});
            rotate(at(row, a), at(row, a + 1), c, s);
        }
    }

    // What remains is upper triangular by construction, and diagonal with unit moduli if the matrix was
    // unitary.
    void inspect() {
        Vector worst{};
        for (int64_t row = 0; row < k; ++row)
            for (int64_t column = row; column < k; ++column) {
                const Vector* x = at(row, column);
                const Vector size = Complex ? root(x[0] * x[0] + x[planes - 1] * x[planes - 1]) : magnitude(x[0]);
                const Vector off = column == row ? magnitude(size - 1.0) : size;
                worst = (off > worst) | (off != off) ? off : worst;  // NaN, once there, stays
            }
        for (int64_t lane = 0; lane < count; ++lane) task.deviation[first + lane] = worst[lane];
    }

    void finish() {
        inspect();
        for (int64_t row = 0; row < k; ++row) {
            Vector* x = at(row, row);
            if constexpr (Complex) turned[2 * m + row] = Polar(x).direction;
            else x[0] = x[0] < 0.0 ? Vector{} - 1.0 : Vector{} + 1.0;
        }
        for (int64_t i = m - 1; i >= 0; --i)
            if (task.steps[i].left) commute(task.steps[i]);
        for (int64_t phase = 0; phase < phases; ++phase) write(task.phases + phase, phases, in_range(turned[phase]));
        if constexpr (!Complex)
            for (int64_t row = 0; row < k; ++row) write(task.signs + row, k, at(row, row)[0]);
    }

    // T^-1 D = D' T': a rotation nulled from the left passes the diagonal, innermost first.
    // Real: theta' = -theta d_a d_b. Complex: phi' = alpha - beta + pi, alpha' = beta - phi + pi; but theta = 0 changes
    // nothing, and theta = pi/2 only swaps: phi' = 0, alpha' = beta + pi, beta' = alpha + pi.
    void commute(const Step& step) {
        if constexpr (Complex) {
            Phasor &alpha = turned[2 * m + step.upper], &beta = turned[2 * m + step.upper + 1];
            Phasor& phi = turned[m + step.mzi];
            const Bits straight = turned[step.mzi].im == 0.0, crossed = turned[step.mzi].re == 0.0;
            const Phasor before = alpha, passed = times_conjugate(beta, phi), apart = times_conjugate(alpha, beta);
            alpha = {straight ? before.re : -passed.re, straight ? before.im : -passed.im};
            beta = {crossed ? -before.re : beta.re, crossed ? -before.im : beta.im};
            phi = {straight | crossed ? Vector{} + 1.0 : -apart.re, straight | crossed ? Vector{} : -apart.im};
        } else {
            turned[step.mzi].im *= -at(step.upper, step.upper)[0] * at(step.upper + 1, step.upper + 1)[0];
        }
    }

    Vector in_range(Phasor of) const {
        const Vector x = angle(of);
        return x >= task.full_turn ? Vector{} : x;
    }

    void write(double* to, int64_t stride, Vector x) const {
        for (int64_t lane = 0; lane < count; ++lane) to[(first + lane) * stride] = x[lane];
    }
};

template <bool Complex>
void decompose(const Task& task, int64_t threads) {
    const int64_t groups = (task.blocks + lanes - 1) / lanes;
    const int64_t work = task.mzis * task.size * lanes * (Complex ? 2 : 1);
    in_parallel(groups, work, threads, [&task](int64_t first, int64_t last) {
        Group<Complex> group(task);
        for (int64_t number = first; number < last; ++number) {
            group.load(number);
            for (int64_t i = 0; i < task.mzis; ++i) group.null(task.steps[i]);
            group.finish();
        }
    });
}

}  // namespace

#define EXPORT(COMPLEX, NAME)                                                                                      \
    extern "C" void mesh_decompose_##NAME(int64_t blocks, int64_t size, int64_t mzis, const int32_t* steps,        \
                                          const double* matrix, double* phases, double* signs, double* deviation,  \
                                          double full_turn, int64_t threads) {                                     \
        decompose<COMPLEX>({blocks, size, mzis, reinterpret_cast<const Step*>(steps), matrix, phases, signs,       \
                            deviation, full_turn},                                                                 \
                           threads);                                                                               \
    }

EXPORT(false, real)
EXPORT(true, complex)
