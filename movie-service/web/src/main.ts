import "./views/movie-app";
