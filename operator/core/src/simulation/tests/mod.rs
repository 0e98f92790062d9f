mod campaign;
mod crash;
mod exhaustive;
mod planted;
