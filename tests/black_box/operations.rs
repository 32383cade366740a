//! What those who run it rely on: probes that tell the truth, a look at everything that is needed, backups, restarts one by one.

mod backup;
mod doctor;
mod probes;
mod rolling;
mod shop;
mod traces;
