"""The engine by hand: this program must run as it stands. It checks the gradient that the course derives."""

import numpy as np

import treadle as td

rng = np.random.default_rng(0)
x, y = rng.random((404, 13)), rng.random((404, 1))
w = td.tensor(rng.standard_normal((13, 1)), requires_grad=True)  # float64 is kept
b = td.tensor(np.zeros(1), requires_grad=True)

z = td.tensor(x) @ w + b
loss = ((z - td.tensor(y)) ** 2).mean() / 2  # halved, as in the derivation
loss.backward()

error = x @ w.numpy() + b.numpy() - y
np.testing.assert_allclose(w.grad, (error * x).mean(axis=0)[:, None], rtol=1e-12)
np.testing.assert_allclose(b.grad, error.mean(axis=0), rtol=1e-12)

# the public gradient check: central differences in float64, an error that names the op and the worst element
td.check_gradients(lambda a: td.ops.log_softmax(a, axis=-1).sum(), rng.standard_normal((4, 7)))

# an optimiser is init and step, both pure
optimizer = td.optim.Adam(lr=0.1)
params = {"w": np.ones(3)}
state = optimizer.init(params)
params, state = optimizer.step(params, {"w": np.array([1.0, 2.0, 3.0])}, state)
np.testing.assert_allclose(params["w"], 1 - 0.1, rtol=1e-6)
