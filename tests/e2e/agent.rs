//! `dpu-agent` on a real API server, as the account that the renderer gives it, and on a real switch.

mod audit;
mod away;
mod card;
mod figures;
mod life;
mod releases;
