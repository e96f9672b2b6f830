//! `dpu-agent` on a real API server, as the account that the renderer gives it, and on a real switch.

mod audit;
mod away;
mod card;
mod entries;
mod figures;
mod life;
mod releases;
mod sets;
